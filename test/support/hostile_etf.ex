defmodule BaileysEx.Test.HostileEtf do
  @moduledoc """
  Bytes that `:erlang.binary_to_term/1` should never see, by their kind.

  None of them takes an attacker: a file from another tool, a failing disk or a careless copy can contain any
  of them.
  """

  import Bitwise

  @nested 1_000_000
  @huge 0xFFFF_FFFF

  @doc "Returns the name and bytes of each; atoms in them begin with `prefix`."
  @spec all(String.t()) :: [{String.t(), binary()}]
  def all(prefix) do
    lies() ++ bombs() ++ nested() ++ living() ++ malformed() ++ [many_atoms(prefix)]
  end

  # Lengths that do not match the bytes.
  defp lies do
    [
      {"a list of 2^32 items", <<131, 108, @huge::32>>},
      {"a list of 2^32 items with one", <<131, 108, @huge::32, 97, 1, 106>>},
      {"a tuple of 2^32 items", <<131, 105, @huge::32, 97, 1>>},
      {"a map of 2^32 pairs", <<131, 116, @huge::32, 97, 1, 97, 1>>},
      {"a map of 2^31 pairs", <<131, 116, 1 <<< 31::32, 97, 1, 97, 1>>},
      {"a binary of 4 GiB", <<131, 109, @huge::32, "x">>},
      {"an integer of 4 GiB", <<131, 111, @huge::32, 0, 1>>},
      {"a string of 64 kB", <<131, 107, 0xFFFF::16, 1>>},
      {"an atom of 64 kB", <<131, 118, 0xFFFF::16, "a">>},
      {"lists in lists, 2^32 items each",
       IO.iodata_to_binary([131, List.duplicate(<<108, @huge::32>>, 50)])}
    ]
  end

  defp bombs do
    zeros = :erlang.term_to_binary(:binary.copy(<<0>>, 50_000_000), compressed: 9)
    <<131, 80, _size::32, deflated::binary>> = zeros

    [
      {"50 MB in 50 kB", zeros},
      {"50 MB that claim 4 GiB", <<131, 80, @huge::32, deflated::binary>>},
      {"50 MB that claim nothing", <<131, 80, 0::32, deflated::binary>>},
      {"a compressed key", :erlang.term_to_binary(List.duplicate("key", 1000), compressed: 9)}
    ]
  end

  defp nested do
    for {what, open, close} <- [
          {"tuples", <<104, 1>>, ""},
          {"lists", <<108, 1::32>>, <<106>>},
          {"tails", <<108, 1::32, 97, 1>>, ""},
          {"maps", <<116, 1::32, 97, 1>>, ""},
          {"map keys", <<116, 1::32>>, <<97, 1>>}
        ] do
      {"a million nested #{what}",
       IO.iodata_to_binary([
         131,
         :binary.copy(open, @nested),
         106,
         :binary.copy(close, @nested)
       ])}
    end
  end

  # Terms that mean something only in the VM that made them.
  defp living do
    port = Port.list() |> hd()
    local = fn -> :ok end

    for {what, term} <- [
          {"a pid", self()},
          {"a port", port},
          {"a reference", make_ref()},
          {"a function", local},
          {"an external function", &String.upcase/1},
          {"a bit string", <<5::3>>}
        ],
        {where, wrapped} <- [
          {"", term},
          {" in a map", %{private: term}},
          {" as a key", %{term => 1}},
          {" in a tail", [1 | term]}
        ] do
      {what <> where, :erlang.term_to_binary(wrapped)}
    end ++
      [
        {"an old pid", <<131, 103, 119, 1, "n", 1::32, 0::32, 0>>},
        {"an old reference", <<131, 101, 119, 1, "n", 1::32, 0>>},
        {"an old port", <<131, 102, 119, 1, "n", 1::32, 0>>},
        {"an old function", <<131, 117, 0::32, 106>>}
      ]
  end

  defp malformed do
    [
      {"nothing", ""},
      {"the version alone", <<131>>},
      {"another version", <<130, 106>>},
      {"a distribution header", <<131, 68, 0>>},
      {"an atom of the distribution cache", <<131, 82, 0>>},
      {"an old float", <<131, 99, String.pad_trailing("1.5", 31, <<0>>)::binary>>},
      {"a float that is no number", <<131, 70, 0x7FF8::16, 0::48>>},
      {"an infinite float", <<131, 70, 0x7FF0::16, 0::48>>},
      {"an atom that is not UTF-8", <<131, 119, 2, 0xC3, 0x28>>},
      {"an atom of 256 characters", <<131, 118, 256::16, String.duplicate("a", 256)::binary>>},
      {"a term and one more", <<131, 106, 106>>},
      {"the same key twice", <<131, 116, 2::32, 97, 1, 97, 1, 97, 1, 97, 2>>},
      {"an integer of 480 million bits",
       <<131, 111, 60_000_000::32, 0, :binary.copy(<<1>>, 60_000_000)::binary>>},
      {"an integer without a sign", <<131, 110, 1, 7, 1>>},
      {"garbage", <<131, 255, 0, 1, 2>>},
      {"text", "-----BEGIN PRIVATE KEY-----"}
    ]
  end

  defp many_atoms(prefix) do
    atoms =
      for number <- 1..100_000 do
        name = "#{prefix}#{number}"
        <<119, byte_size(name), name::binary>>
      end

    {"100,000 new atoms", IO.iodata_to_binary([<<131, 108, 100_000::32>>, atoms, 106])}
  end
end
