defmodule BaileysEx.Auth.NativeFilePersistenceTest do
  use BaileysEx.Auth.DirectoryContract,
    backend: BaileysEx.Auth.NativeFilePersistence,
    extension: ".etf",
    manifest: ".baileys_ex_native_file_persistence.etf"

  alias BaileysEx.Auth.{InvalidTermError, NativeFilePersistence, State}

  test "credentials that are too much as a whole are refused as a whole", %{path: path} do
    size = 40 * 1024 * 1024
    large = %{additional_data: :binary.copy("a", size), routing_info: :binary.copy("b", size)}
    labels = fn name -> for n <- 1..250, do: String.to_atom("refused_as_a_whole_#{name}_#{n}") end
    many = %{additional_data: labels.("a"), account_settings: %{labels: labels.("b")}}

    for fields <- [large, many] do
      assert {:error, %InvalidTermError{member: member, problem: problem}} =
               NativeFilePersistence.save_credentials(path, State.new(fields))

      assert member in ["creds", "creds.etf"]
      assert is_binary(problem)
      assert NativeFilePersistence.load_keys(path, :session, "a") == {:error, :not_found}
      refute File.exists?(Path.join(path, "creds.etf"))
    end
  end
end
