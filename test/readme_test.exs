defmodule BaileysEx.Auth.ReadmeTest do
  # The README names directories relative to the current one, which the whole VM shares.
  use ExUnit.Case, async: false

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{Fixtures, NativeFilePersistence}
  alias BaileysEx.Test.Guide

  setup :setup_temp_dir

  test "its ten lines run as they stand, and show something worth seeing", %{tmp: tmp} do
    readme = Path.expand("README.md")
    File.cp_r!(Fixtures.path(:baileys), Path.join(tmp, "baileys_auth_info"))
    ten_lines = Enum.find(Guide.blocks(readme), &(&1.code =~ "migrate_compat_json_to_native"))

    binding =
      File.cd!(tmp, fn ->
        {_value, binding} = Code.eval_string(ten_lines.code, [], file: readme)
        binding
      end)

    assert %{migrated_keys: 98} = binding[:summary]
    # What iex shows: short, and without a key.
    assert inspect(binding[:auth].state) =~ ~r/\A#BaileysEx.Auth.State<me: "1555.{0,200}>\z/
    assert inspect(binding[:session]) =~ ~r/\A#BaileysEx.Signal.SessionRecord<.{0,80}>\z/

    assert NativeFilePersistence.load_keys(Path.join(tmp, "auth_native"), :"lid-mapping", "1") ==
             {:ok, "2"}
  end

  test "everything public has documentation that h shows" do
    {:ok, modules} = :application.get_key(:baileys_ex_auth, :modules)

    undocumented =
      for module <- modules,
          {:docs_v1, _, _, _, doc, _, functions} <- [Code.fetch_docs(module)],
          doc != :hidden,
          not (Atom.to_string(module) =~ ~r/\AElixir\.(Inspect|String\.Chars)\./),
          to_string(module.module_info(:compile)[:source]) =~ "/lib/",
          {name, :none} <- [{module, doc} | function_docs(functions)],
          do: {module, name}

    assert undocumented == []
  end

  defp function_docs(functions) do
    for {{:function, name, arity}, _, _, doc, metadata} <- functions,
        name not in [:child_spec, :message, :exception],
        not is_map_key(metadata, :impl),
        do: {{name, arity}, doc}
  end
end
