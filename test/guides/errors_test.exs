defmodule BaileysEx.Guides.ErrorsTest do
  # The guides describe what exists: every error has a section, and every name exists.
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.{
    FilePersistence,
    KeyStore,
    NativeError,
    NativeFilePersistence,
    PersistenceMigration,
    Restore
  }

  @troubleshooting File.read!("guides/troubleshooting.md")
  @guides Path.wildcard("guides/*.md") ++ ["README.md"]

  for module <- [FilePersistence, NativeFilePersistence, PersistenceMigration, Restore, KeyStore] do
    test "troubleshooting has a section for each error of #{inspect(module)}" do
      names = module_errors(unquote(module))
      assert names != []
      for name <- names, do: assert(name in headings(), "no section names #{name}")
    end
  end

  test "troubleshooting has a section for each reason of the key store itself" do
    [_before, reasons] = String.split(moduledoc(KeyStore.OperationError), "Reasons of the store")
    names = for [_, name] <- Regex.scan(~r/\* `\{?(:\w+)/, reasons), do: name
    assert length(names) >= 5
    for name <- names, do: assert(name in headings(), "no section names #{name}")
  end

  test "troubleshooting has a section for each reason that the NIF can give" do
    for reason <- reasons() do
      name = reason |> NativeError.to_public(NativeFilePersistence) |> name()
      assert name in headings(), "no section names #{name}"
    end
  end

  test "every link between guides leads somewhere" do
    for guide <- @guides, [_, target] <- links(guide) do
      [file | anchor] = String.split(target, "#")
      path = Path.join(Path.dirname(guide), file)
      assert File.exists?(path), "#{guide} links to #{target}"
      for name <- anchor, do: assert(name in anchors(path), "#{guide} links to #{target}")
    end
  end

  test "every function, module and task that a guide names exists" do
    for guide <- @guides, text = File.read!(guide) do
      for [_, module, function, arity] <-
            Regex.scan(~r/`(?:c:)?((?:[A-Z]\w*\.)+)([a-z]\w*[?!]?)\/(\d)`/, text) do
        module = module |> String.trim_trailing(".") |> resolve()
        function = String.to_atom(function)
        assert function_exported?(module, function, String.to_integer(arity)), guide
      end

      # The prefix of the modules also names the library itself.
      for [_, module] <- Regex.scan(~r/\b(BaileysEx(?:\.[A-Z]\w*)+)/, text),
          module != "BaileysEx.Auth" do
        assert Code.ensure_loaded?(Module.concat([module])), "#{guide}: #{module}"
      end

      for [_, task] <- Regex.scan(~r/mix (baileys\.auth\.\w+)/, text) do
        assert Mix.Task.get(task), "#{guide}: #{task}"
      end
    end
  end

  ## What the documentation names

  # The atoms and exceptions of the list under "Errors", or of the whole text.
  defp module_errors(module) do
    text = moduledoc(module)

    section =
      case String.split(text, "## Errors", parts: 2) do
        [_before, errors] -> errors
        [whole] -> whole
      end

    exceptions = for [_, name] <- Regex.scan(~r/\.(\w+Error)\b/, section), do: name

    atoms =
      for [code] <- Regex.scan(~r/`[^`]+`/, section),
          code =~ "error" or code =~ ~r/^`:e\w+`$/ or code =~ "target",
          [atom] <- Regex.scan(~r/(?<![\w:]):[a-z]\w+/, code),
          atom != ":error",
          do: atom

    Enum.uniq(exceptions ++ atoms)
  end

  defp moduledoc(module) do
    {:docs_v1, _, _, _, %{"en" => text}, _, _} = Code.fetch_docs(module)
    text
  end

  defp headings do
    for "### " <> heading <- String.split(@troubleshooting, "\n"),
        [_, name] <- Regex.scan(~r/`([^`]+)`/, heading),
        do: name
  end

  # One reason of each kind. A new clause of `NativeError.to_public/2` belongs here too.
  defp reasons do
    [
      :not_found,
      {:io, "enospc"},
      {:io, "eacces"},
      {:io, "emfile"},
      {:io, "eio"},
      {:corrupt, "file", "", "is empty", :content},
      {:invalid_term, "session", "is no session"},
      {:invalid_term, "creds.additional_data.a", "JSON cannot hold a tuple"},
      {:invalid_key, "session", "a", "its file name would pass 255 bytes"},
      {:unexpected_backend, "other"},
      {:unsupported_version, 9},
      {:invalid_manifest, "is cut short"},
      {:unsupported_journal, 9},
      {:recovery_required, "path"},
      {:busy, "path", "process 1 on host"},
      {:not_owner, "path", nil},
      {:changed, "path"}
    ]
  end

  defp name(%module{}), do: module |> Module.split() |> List.last()
  defp name(reason) when is_tuple(reason), do: inspect(elem(reason, 0))
  defp name(reason), do: inspect(reason)

  ## Links

  defp links(guide), do: Regex.scan(~r/\]\(((?!https?:)[^)\s]+)\)/, File.read!(guide))

  defp anchors(path) do
    for line <- String.split(File.read!(path), "\n"), String.starts_with?(line, "#") do
      line
      |> String.trim_leading("#")
      |> String.trim()
      |> String.downcase()
      |> String.replace(~r/[^\w\- ]/, "")
      |> String.replace(" ", "-")
    end
  end

  defp resolve(name) do
    Enum.find_value(["", "BaileysEx.Auth.", "BaileysEx.Signal."], fn prefix ->
      module = Module.concat([prefix <> name])
      if Code.ensure_loaded?(module), do: module
    end) || flunk("no module #{name}")
  end
end
