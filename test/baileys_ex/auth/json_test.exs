defmodule BaileysEx.Auth.JSONTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.JSON
  alias BaileysEx.Test.JSON, as: Reader
  alias BaileysEx.Test.Property

  doctest BaileysEx.Auth.JSON
  doctest BaileysEx.Auth.CLI.Layout
  doctest BaileysEx.Auth.Numbers

  test "it writes ASCII, which reads back as the same value" do
    Property.for_seeds(1..300, fn _seed ->
      value = value(4)
      text = IO.iodata_to_binary(JSON.encode(value))
      assert text =~ ~r/\A[\x20-\x7e]*\z/
      assert Reader.decode!(text) == value
    end)
  end

  test "bytes that are not text do not spoil it" do
    text = IO.iodata_to_binary(JSON.encode(<<"a", 0xFF, "b">>))
    assert Reader.decode!(text) == "a\uFFFDb"
  end

  test "names lose their question mark, data does not" do
    assert IO.iodata_to_binary(JSON.encode(%{:registered? => true, "why?" => "ok?"})) ==
             ~S({"registered":true,"why?":"ok?"})
  end

  defp value(0), do: Property.one_of([nil, true, false, 0, -17, 1.5, "", text()])

  defp value(depth) do
    case Property.below(3) do
      0 -> value(0)
      1 -> for _ <- 1..Property.below(4)//1, do: value(depth - 1)
      2 -> for _ <- 1..Property.below(4)//1, into: %{}, do: {text(), value(depth - 1)}
    end
  end

  defp text do
    for _ <- 1..Property.below(8)//1, into: "" do
      <<Property.one_of([?a, ?", ?\\, ?\n, ?\t, 0, 0x1F, 0x7F, ?é, 0x2028, 0xFFFD, 0x1F98A])::utf8>>
    end
  end
end
