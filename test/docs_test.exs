defmodule BaileysEx.Auth.DocsTest do
  use ExUnit.Case, async: true

  @root Path.expand("..", __DIR__)
  @docs Mix.Project.config()[:docs].()

  describe "the pages of ExDoc" do
    test "hold every guide, and only files that are there" do
      extras = @docs[:extras]
      assert extras == Enum.uniq(extras)
      for file <- extras, do: assert(File.regular?(Path.join(@root, file)), file)

      guides = "guides/*.md" |> Path.expand(@root) |> Path.wildcard()
      assert guides != []
      for guide <- guides, do: assert(Path.relative_to(guide, @root) in extras)
      assert @docs[:groups_for_extras][:Guides] -- extras == []
    end

    test "have their pictures where they look for them" do
      pictures =
        for page <- @docs[:extras],
            [_, picture] <- Regex.scan(~r/!\[[^\]]*\]\(([^)]+)\)/, read(page)),
            do: picture

      assert length(pictures) > 1

      for picture <- pictures do
        assert Enum.any?(@docs[:assets], fn {source, target} ->
                 Path.dirname(picture) == target and
                   File.regular?(Path.join([@root, source, Path.basename(picture)]))
               end),
               picture
      end
    end

    test "hold every public module in exactly one group" do
      for module <- public_modules(), not mix_task?(module) do
        groups =
          for {group, members} <- @docs[:groups_for_modules], in?(members, module), do: group

        assert length(groups) == 1, "#{inspect(module)} is in #{inspect(groups)}"
      end
    end

    test "hold no group for a missing module" do
      for {_group, members} <- @docs[:groups_for_modules], member <- members do
        assert Enum.any?(public_modules(), &in?([member], &1)), inspect(member)
      end
    end
  end

  test "every public module, function, macro and callback is documented" do
    for module <- public_modules() do
      {:docs_v1, _, :elixir, _, moduledoc, _, entries} = Code.fetch_docs(module)
      assert %{"en" => text} = moduledoc, "#{inspect(module)} has no @moduledoc"
      assert String.trim(text) != ""

      undocumented =
        for {{kind, name, arity}, _, _, :none, _} <- entries,
            kind in [:function, :macro, :callback, :macrocallback],
            do: "#{kind} #{name}/#{arity}"

      assert undocumented == [], "#{inspect(module)}: #{Enum.join(undocumented, ", ")}"
    end
  end

  test "the documentation of every public function has an example that calls it" do
    for {module, name, arity, text} <- documented_functions() do
      code = for "    " <> line <- String.split(text, "\n"), do: line

      assert Enum.any?(code, &(&1 =~ ~r/\b#{Regex.escape(name)}[(\/]/)),
             "#{inspect(module)}.#{name}/#{arity}"
    end
  end

  test "the documentation of every public function that can fail speaks of its errors" do
    for {module, name, arity, text} <- documented_functions(), fails?(module, name, arity) do
      assert text =~ ~r/\{:error, |\berrors?\b/i, "#{inspect(module)}.#{name}/#{arity}"
    end
  end

  test "the documentation of every public function names its arguments" do
    for module <- public_modules(),
        {:docs_v1, _, :elixir, _, _, _, entries} = Code.fetch_docs(module),
        {{:function, _, _}, _, [signature], %{}, _} <- entries do
      refute signature =~ ~r/\barg\d/, "#{inspect(module)}: #{signature}"
    end
  end

  test "documented specs and types name no type of an undocumented module" do
    for module <- public_modules(), text <- documented_types(module) do
      for [_, name] <- Regex.scan(~r/\b(BaileysEx\.[\w.]+)\.[a-z]\w*\(/, text) do
        refute hidden?(Module.concat([name])), "#{inspect(module)}: #{text}"
      end
    end
  end

  test "the documentation of every public function that takes options names them" do
    for {module, name, arity, text} <- documented_functions(), options?(module, name, arity) do
      assert text =~ ~r/`:[a-z_]+\??`/, "#{inspect(module)}.#{name}/#{arity}"
    end
  end

  test "the help of each task fits 80 columns" do
    for task <- public_modules(), mix_task?(task) do
      {:docs_v1, _, :elixir, _, %{"en" => help}, _, _} = Code.fetch_docs(task)
      wide = help |> String.split("\n") |> Enum.filter(&(String.length(&1) > 80))
      assert wide == [], "#{inspect(task)}: #{Enum.join(wide, "\n")}"
    end
  end

  # Longer lines would have to be scrolled, because the box is as wide as the text.
  test "code in the documentation fits its box" do
    for page <- @docs[:extras], Path.extname(page) == ".md" do
      [_text | parts] = page |> read() |> String.split(~r/^ *```/m)
      code = parts |> Enum.take_every(2) |> Enum.flat_map(&tl(String.split(&1, "\n")))
      assert too_wide(code, 99) == [], page
    end

    for module <- public_modules(), text <- texts(module) do
      assert text |> indented_code() |> too_wide(96) == [], inspect(module)
    end
  end

  test "names of modules fit the side bar" do
    prefixes = for prefix <- @docs[:nest_modules_by_prefix], do: inspect(prefix)

    for module <- public_modules(), not mix_task?(module) do
      shown = prefixes |> Enum.map(&String.replace_prefix(inspect(module), &1, "")) |> shortest()
      assert String.length(shown) <= 30, inspect(module)
    end
  end

  test "every file that the page on the architecture names is there" do
    roots = [
      "",
      "lib/baileys_ex/",
      "lib/baileys_ex/auth/",
      "native/",
      "native/auth_store/",
      "native/auth_store/src/"
    ]

    text = @root |> Path.join("ARCHITECTURE.md") |> File.read!()
    files = for [_, file] <- Regex.scan(~r/`([a-z_\/]+\.(?:ex|rs|md))`/, text), do: file
    assert length(files) > 30

    for file <- files do
      assert Enum.any?(roots, &File.exists?(Path.join([@root, &1, file]))), file
    end
  end

  test "a file of lib/ is below a folder internal/ exactly if nothing in it is documented" do
    for {file, modules} <- Enum.group_by(modules(), &source/1) do
      assert "internal" in Path.split(file) == Enum.all?(modules, &hidden?/1), file
    end
  end

  test "ExDoc is a dependency of the docs environment alone" do
    for env <- ~w(dev test prod), do: assert(deps_in(env) == "[]")
    assert deps_in("docs") =~ ":ex_doc"
  end

  defp read(page), do: @root |> Path.join(page) |> File.read!()

  defp too_wide(lines, columns), do: Enum.filter(lines, &(String.length(&1) > columns))

  # Lines indented by four that do not continue an item of a list.
  defp indented_code(text) do
    for paragraph <- String.split(text, ~r/\n\n+/),
        String.starts_with?(paragraph, "    ") and not (paragraph =~ ~r/\A +\* /),
        line <- String.split(paragraph, "\n"),
        do: String.replace_prefix(line, "    ", "")
  end

  defp shortest(names), do: Enum.min_by(names, &String.length/1)

  defp texts(module) do
    {:docs_v1, _, :elixir, _, %{"en" => text}, _, entries} = Code.fetch_docs(module)
    [text | for({_, _, _, %{"en" => text}, _} <- entries, do: text)]
  end

  # Without Mix's own commands, which would ask for Hex.
  defp deps_in(env) do
    code = """
    Mix.start()
    Mix.env(:#{env})
    Code.require_file("mix.exs")
    Mix.Project.config() |> Keyword.fetch!(:deps) |> inspect() |> IO.write()
    """

    {output, 0} = System.cmd("elixir", ["-e", code], cd: @root, stderr_to_stdout: true)
    output
  end

  defp public_modules, do: Enum.reject(modules(), &hidden?/1)

  # Modules of lib/, without those of test/support and protocol implementations.
  defp modules do
    for module <- Application.spec(:baileys_ex_auth, :modules),
        String.starts_with?(source(module), "lib/"),
        not function_exported?(module, :__impl__, 1),
        do: module
  end

  defp source(module),
    do: module.module_info(:compile)[:source] |> to_string() |> Path.relative_to(@root)

  defp hidden?(module), do: match?({:docs_v1, _, _, _, :hidden, _, _}, Code.fetch_docs(module))

  # Functions that only say "As `load_keys/3`, …" are documented there. Those from `use GenServer` have its
  # text.
  defp documented_functions do
    for module <- public_modules(),
        not mix_task?(module),
        {:docs_v1, _, _, _, _, _, entries} = Code.fetch_docs(module),
        {{kind, name, arity}, _, _, %{"en" => text}, _} when kind in [:function, :macro] <-
          entries,
        {name, arity} != {:child_spec, 1},
        not (text =~ ~r/^As `[a-z_]+[?!]?\/\d`/),
        do: {module, Atom.to_string(name), arity, text}
  end

  defp fails?(module, name, arity) do
    {:ok, specs} = Code.Typespec.fetch_specs(module)
    {_function, specs} = List.keyfind(specs, {String.to_existing_atom(name), arity}, 0, {nil, []})

    Enum.any?(specs, fn spec ->
      Macro.to_string(Code.Typespec.spec_to_quoted(:f, spec)) =~ "{:error, "
    end)
  end

  defp documented_types(module) do
    {:docs_v1, _, _, _, _, _, entries} = Code.fetch_docs(module)
    {:ok, specs} = Code.Typespec.fetch_specs(module)
    {:ok, types} = Code.Typespec.fetch_types(module)
    hidden = for {{:function, name, arity}, _, _, :hidden, _} <- entries, do: {name, arity}

    of_specs =
      for {{name, _} = function, specs} <- specs, function not in hidden, spec <- specs do
        name |> Code.Typespec.spec_to_quoted(spec) |> Macro.to_string()
      end

    of_types =
      for {:type, type} <- types, do: type |> Code.Typespec.type_to_quoted() |> Macro.to_string()

    of_specs ++ of_types
  end

  defp options?(module, name, arity) do
    {:docs_v1, _, _, _, _, _, entries} = Code.fetch_docs(module)

    Enum.any?(entries, fn {{kind, other, of_arity}, _, signature, _, _} ->
      kind == :function and {to_string(other), of_arity} == {name, arity} and
        Enum.join(signature) =~ ~r/\bopts\b/
    end)
  end

  defp mix_task?(module), do: String.starts_with?(inspect(module), "Mix.Tasks.")

  defp in?(members, module) do
    Enum.any?(members, fn
      %Regex{} = regex -> inspect(module) =~ regex
      member -> member == module
    end)
  end
end
