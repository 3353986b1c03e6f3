defmodule BaileysEx.Auth.AdoptionTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{Adoption, FilePersistence, State}
  alias BaileysEx.Auth.CLI
  alias BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity
  alias BaileysEx.Test.{JSON, Package}

  import ExUnit.CaptureIO

  @dependency ~s({:baileys_ex_auth, path: "../auth"})
  @messages "lib/baileys_ex/protocol/proto/adv_messages.ex"

  setup :setup_temp_dir

  setup %{tmp: tmp} do
    checkout = Package.copy_project("client", tmp)
    git(checkout, ["init", "--quiet"])
    commit(checkout)
    %{checkout: checkout}
  end

  test "what both define is removed, the rest stays, and nothing changes before apply/1",
       context do
    %{checkout: checkout} = context
    before = tree(checkout)
    assert {:ok, plan} = Adoption.plan(checkout, dependency: @dependency)
    assert tree(checkout) == before

    assert plan.removed == [
             {"lib/baileys_ex/auth/file_persistence.ex", FilePersistence},
             {"lib/baileys_ex/auth/state.ex", State},
             {"lib/baileys_ex/auth/state.ex", Inspect.BaileysEx.Auth.State},
             {@messages, ADVSignedDeviceIdentity}
           ]

    assert plan.by_hand == []
    assert :ok = Adoption.apply(plan)
    after_ = tree(checkout)

    assert Map.keys(before) -- Map.keys(after_) ==
             ~w(lib/baileys_ex/auth/file_persistence.ex lib/baileys_ex/auth/state.ex)

    assert after_["lib/baileys_ex/pairing.ex"] == before["lib/baileys_ex/pairing.ex"]
    assert after_["mix.exs"] =~ "[#{@dependency}]"

    kept = after_[@messages]
    assert kept =~ "defmodule BaileysEx.Protocol.Proto.ADVDeviceIdentity do"
    assert kept =~ "defmodule BaileysEx.Protocol.Proto.ADVSignedDeviceIdentityHMAC do"
    refute kept =~ "ADVSignedDeviceIdentity do"
    refute kept =~ "What the account signs"
  end

  test "what callers of the removed modules will miss is reported", %{checkout: checkout} do
    {:ok, plan} = Adoption.plan(checkout, dependency: @dependency)

    assert plan.missing ==
             [
               {State, {:field, :toy, 0}},
               {FilePersistence, {:function, :load_credentials, 3}}
             ]
             |> Enum.sort()
  end

  test "a second run finds nothing to do, committed or not", %{checkout: checkout} do
    {:ok, plan} = Adoption.plan(checkout, dependency: @dependency)
    :ok = Adoption.apply(plan)
    done = tree(checkout)

    assert {:ok, %{edits: edits, removed: []} = plan} =
             Adoption.plan(checkout, dependency: @dependency)

    assert edits == %{}
    assert :ok = Adoption.apply(plan)
    assert tree(checkout) == done
  end

  test "changes that git cannot bring back are not touched without force", %{checkout: checkout} do
    File.write!(Path.join(checkout, "lib/new.ex"), "# not committed\n")
    before = tree(checkout)

    assert {:error, {:uncommitted_changes, _}} = Adoption.plan(checkout, dependency: @dependency)
    assert {output, 1} = cli([checkout])
    assert output =~ "not committed"
    assert output =~ "--force"
    assert tree(checkout) == before
    assert {:ok, _} = Adoption.plan(checkout, dependency: @dependency, force: true)

    File.rm_rf!(Path.join(checkout, ".git"))
    assert {:error, {:no_version_control, _}} = Adoption.plan(checkout, dependency: @dependency)
  end

  test "a file that cannot be read stops it before anything is touched", %{checkout: checkout} do
    File.write!(Path.join(checkout, "lib/broken.ex"), "defmodule Broken do")
    commit(checkout)
    before = tree(checkout)
    assert {output, 1} = cli([checkout])
    assert output =~ "lib/broken.ex: line 1"
    assert tree(checkout) == before
  end

  test "no project, and this library itself, are refused", %{tmp: tmp} do
    assert {:error, {:not_a_mix_project, _}} = Adoption.plan(tmp, dependency: @dependency)
    assert {:error, {:this_library, _}} = Adoption.plan(".", dependency: @dependency)
  end

  test "a module that cannot be cut out is left to a person, and the exit code says so",
       context do
    file = Path.join(context.checkout, "lib/one_line.ex")
    File.write!(file, "defmodule BaileysEx.Auth.Lock, do: nil\nIO.puts(1)\n")
    commit(context.checkout)
    assert {output, 1} = cli([context.checkout])
    assert output =~ "left to do by hand (1)"
    assert output =~ "remove BaileysEx.Auth.Lock from lib/one_line.ex"
    assert File.read!(file) =~ "defmodule BaileysEx.Auth.Lock"
  end

  test "the task says what it would do, does it, and then finds nothing to do", context do
    %{checkout: checkout} = context
    before = tree(checkout)
    assert {output, 0} = cli([checkout, "--dry-run"])
    assert output =~ "4 modules would be removed"
    assert output =~ "BaileysEx.Auth.FilePersistence.load_credentials/3"
    assert output =~ "%BaileysEx.Auth.State{toy: …}"
    assert tree(checkout) == before

    assert {output, 0} = cli([checkout, "--json"])
    document = JSON.decode!(output)

    assert document["files_removed"] ==
             ~w(lib/baileys_ex/auth/file_persistence.ex lib/baileys_ex/auth/state.ex)

    assert document["files_changed"] == [@messages, "mix.exs"]
    assert length(document["missing"]) == 2
    # The path leads from the checkout to this library.
    {{:baileys_ex_auth, [path: path]}, _} = Code.eval_string(document["dependency"])
    assert Path.expand(path, checkout) == File.cwd!()

    assert {output, 0} = cli([checkout])
    assert output =~ "nothing to do"
  end

  test "wrong usage is told", %{checkout: checkout} do
    assert {_, 2} = cli([])
    assert {output, 2} = cli([checkout, "--dependency", "{:other, \"1\"}"])
    assert output =~ "--dependency expects"
  end

  defp cli(arguments) do
    parent = self()

    printed =
      capture_io(fn ->
        errors =
          capture_io(:stderr, fn -> send(parent, {:code, CLI.run(["adopt" | arguments])}) end)

        IO.write(errors)
      end)

    assert_received {:code, code}
    {printed, code}
  end

  defp tree(checkout) do
    for file <- Path.wildcard(Path.join(checkout, "**")), File.regular?(file), into: %{} do
      {Path.relative_to(file, checkout), File.read!(file)}
    end
  end

  defp commit(checkout) do
    git(checkout, ["add", "--all"])
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    git(checkout, author ++ ["commit", "--quiet", "--message", "a"])
  end

  defp git(checkout, arguments) do
    {_output, 0} = System.cmd("git", ["-C", checkout | arguments], stderr_to_stdout: true)
  end
end
