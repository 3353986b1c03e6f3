defmodule BaileysEx.Auth.PackagingTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  @moduletag timeout: 600_000

  @root Path.expand("..", __DIR__)

  setup :setup_temp_dir

  test "a project with a dependency on this one compiles, starts, saves and loads", %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    {output, status} = mix("consumer", tmp, ["run", "-e", "Consumer.run(#{inspect(path)})"])
    assert status == 0, output
    assert output =~ "consumer: saved and loaded"
    refute output =~ "warning:"
    assert File.exists?(Path.join(path, "creds.etf"))
  end

  # Builds into `tmp`, with the crates that this build has compiled already.
  defp mix(project, tmp, args) do
    env = [
      {"MIX_ENV", "prod"},
      {"MIX_BUILD_PATH", Path.join(tmp, "_build")},
      {"CARGO_TARGET_DIR", System.get_env("CARGO_TARGET_DIR") || Path.join(@root, "_build/cargo")}
    ]

    System.cmd("mix", args,
      cd: Path.join([@root, "test", project]),
      env: env,
      stderr_to_stdout: true
    )
  end
end
