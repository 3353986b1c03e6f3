defmodule BaileysEx.Auth.BaileysJSONTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.{
    BaileysJSON,
    CorruptFileError,
    FilePersistence,
    Fixtures,
    InvalidTermError,
    State
  }

  import BaileysEx.Auth.TempDir
  alias BaileysEx.Test.JSON

  setup :setup_temp_dir

  for form <- Fixtures.forms(), Fixtures.backend(form) == FilePersistence do
    test "reads every value of the fixture #{form} as the file backend, from text and parsed",
         %{tmp: tmp} do
      path = Fixtures.copy!(unquote(form), tmp)
      terms = Fixtures.load_all!(FilePersistence, path)
      creds = terms.creds
      assert map_size(terms) > 5

      for {key, term} <- terms do
        {type, text} = text_of(path, key)
        opts = if type == :session, do: [account: creds], else: []
        assert BaileysJSON.decode(type, text, opts) == {:ok, term}
        assert BaileysJSON.decode(type, {:parsed, JSON.decode!(text)}, opts) == {:ok, term}
      end
    end
  end

  test "gives back what it wrote, for every value of Baileys' own fixture", %{tmp: tmp} do
    terms = Fixtures.load_all!(FilePersistence, Fixtures.copy!(:baileys, tmp))

    for {key, term} <- terms, form <- [:array, :buffer] do
      type = if key == :creds, do: :creds, else: elem(key, 0)
      opts = if type == :session, do: [account: terms.creds], else: []
      assert {:ok, text} = BaileysJSON.encode(type, term, [sender_keys: form] ++ opts)
      assert BaileysJSON.decode(type, text, opts) == {:ok, term}
    end
  end

  test "keeps members of the credentials that it does not know" do
    {:ok, text} = BaileysJSON.encode(:creds, State.new())
    members = JSON.decode!(text)
    more = %{"deviceId" => "a", "backupToken" => %{"type" => "Buffer", "data" => [1, 2]}}
    assert {:ok, state} = BaileysJSON.decode(:creds, Map.merge(members, more))
    assert {:ok, again} = BaileysJSON.encode(:creds, state)
    assert Map.take(JSON.decode!(again), ["deviceId", "backupToken"]) == more
  end

  test "names the value where a file has its path, and shows nothing of it" do
    secret = "a-secret-of-the-account"

    assert {:error, %CorruptFileError{path: "ada:pre-key-1", kind: :row} = error} =
             BaileysJSON.decode(:"pre-key", ~s({"public":"#{secret}"}), name: "ada:pre-key-1")

    assert Exception.message(error) =~ "ada:pre-key-1"
    refute Exception.message(error) =~ secret

    assert {:error, %CorruptFileError{path: "pre-key"}} = BaileysJSON.decode(:"pre-key", "{")
    assert {:error, %CorruptFileError{}} = BaileysJSON.decode(:creds, "null")
    assert {:error, :not_found} = BaileysJSON.decode(:"pre-key", "null")
    assert {:error, :not_found} = BaileysJSON.decode(:"pre-key", {:parsed, nil})
  end

  test "reads text within text, and a LID mapping without quotes" do
    text =
      ~s({"private":{"type":"Buffer","data":"#{Base.encode64(<<1::256>>)}"},) <>
        ~s("public":{"type":"Buffer","data":"#{Base.encode64(<<2::256>>)}"}})

    expected = BaileysJSON.decode(:"pre-key", text)
    assert {:ok, %{private: <<1::256>>}} = expected
    once = JSON.encode(text)
    assert BaileysJSON.decode(:"pre-key", once) == expected
    assert BaileysJSON.decode(:"pre-key", JSON.encode(once)) == expected
    assert BaileysJSON.decode(:"pre-key", {:parsed, text}) == expected

    for bare <- ["800000001", ~s("800000001"), ~S("\"800000001\""), " 800000001\n"] do
      assert BaileysJSON.decode(:"lid-mapping", bare) == {:ok, "800000001"}
    end

    assert BaileysJSON.decode(:"lid-mapping", "null") == {:error, :not_found}
    assert {:error, %CorruptFileError{}} = BaileysJSON.decode(:"lid-mapping", "a b")
    assert {:error, %CorruptFileError{}} = BaileysJSON.decode(:"lid-mapping", "")
  end

  test "refuses hostile values, parsed and as text" do
    deep = Enum.reduce(1..100_000, "1", fn _, text -> [?[, text, ?]] end)

    for text <- [IO.iodata_to_binary(deep), <<0xFF>>, "", "[1", ~S({"private":1,"private":2})],
        type <- [:creds, :"pre-key", :"sender-key", "a-family-of-a-fork"] do
      case BaileysJSON.decode(type, text) do
        {:error, %CorruptFileError{}} -> :ok
        {:ok, _free_form} -> assert type == "a-family-of-a-fork"
      end
    end

    for value <- [%{"a" => <<0xFF>>}, %{a: 1}, [self()], [1 | 2], %State{}, {:parsed, :atom}] do
      assert {:error, %CorruptFileError{}} = BaileysJSON.decode("a-family-of-a-fork", value)
    end

    assert {:error, %InvalidTermError{}} = BaileysJSON.encode(:"pre-key", %{private: self()})
    assert {:error, %InvalidTermError{}} = BaileysJSON.encode(:creds, %{})
  end

  test "wants the credentials for a session, and no option that it does not know" do
    assert_raise ArgumentError, ~r/:account/, fn -> BaileysJSON.decode(:session, "{}") end
    assert_raise ArgumentError, ~r/:account/, fn -> BaileysJSON.encode(:session, %{}) end
    assert_raise ArgumentError, ~r/:name/, fn -> BaileysJSON.decode(:creds, "{}", nmae: "x") end

    assert_raise ArgumentError, ~r/:array/, fn ->
      BaileysJSON.encode(:creds, 1, sender_keys: 1)
    end
  end

  defp text_of(path, :creds), do: {:creds, File.read!(Path.join(path, "creds.json"))}

  defp text_of(path, {type, id}) do
    name = "#{type}-#{id}" |> String.replace("/", "__") |> String.replace(":", "-")
    {type, File.read!(Path.join(path, name <> ".json"))}
  end
end
