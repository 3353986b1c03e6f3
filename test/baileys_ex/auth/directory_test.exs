defmodule BaileysEx.Auth.DirectoryTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.Directory

  test "a directory has one absolute path, however it is spelled" do
    for path <- [
          "/tmp/a",
          "/tmp/a/",
          "/tmp//a",
          "/tmp/./a",
          "/tmp/b/../a",
          "/tmp/a/.",
          "/",
          "//",
          "/.hidden/..a/a..",
          "a",
          "./a",
          "..",
          "~",
          "~/a",
          ~c"a/b",
          ["/tmp", ?/, "a"],
          ""
        ] do
      assert Directory.absolute(path) == Path.expand(path)
    end
  end
end
