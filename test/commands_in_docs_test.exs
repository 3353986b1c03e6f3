defmodule BaileysEx.Auth.CommandsInDocsTest do
  # Commands in the documents: the programs exist, and accept the options that are shown.
  use ExUnit.Case, async: true

  @root Path.expand("..", __DIR__)
  @documents Path.wildcard("{README,CONTRIBUTING,ARCHITECTURE}.md") ++
               Path.wildcard("guides/*.md")

  for document <- @documents do
    @tag document: document
    test "every command in #{document} is one that can be typed", %{document: document} do
      text = @root |> Path.join(document) |> File.read!()
      for line <- shown(text), do: check(line, document)

      for [_, code] <- Regex.scan(~r/`((?:mix|bin|cargo)[ \/][^`]+)`/, text),
          do: check(code, document)
    end
  end

  test "there are some" do
    assert Enum.sum(for file <- @documents, do: file |> File.read!() |> shown() |> length()) > 20
  end

  # Returns the text after each prompt of a console, without its comment.
  defp shown(text) do
    for [_, block] <- Regex.scan(~r/^```console\n(.*?)^```/ms, text),
        line <- String.split(block, "\n", trim: true),
        String.starts_with?(line, "$ ") do
      line |> String.trim_leading("$ ") |> String.replace(~r/\s+#.*/, "")
    end
  end

  defp check(command, document) do
    refute command =~ " $ ", "#{document}: several commands on one line: #{command}"
    words = command |> String.split() |> Enum.drop_while(&(&1 =~ ~r/\A[A-Z_]+=/))
    assert known?(words), "#{document}: #{command}"
  end

  defp known?(["mix", "baileys.auth." <> _ = name | rest]) do
    task = Mix.Task.get(name)
    options = for "--" <> option <- rest, do: option |> String.split("=") |> hd()
    help = task && Mix.Task.moduledoc(task)
    help != nil and Enum.all?(options, &(help =~ "--" <> &1))
  end

  defp known?(["mix", "test" | rest]),
    do: Enum.all?(files(rest), &File.exists?(Path.join(@root, &1)))

  defp known?(["mix" | _]), do: true

  defp known?(["cargo" | rest]) do
    tests = for ["--test", name] <- Enum.chunk_every(rest, 2, 1), do: name
    Enum.all?(tests, &(Path.wildcard("#{@root}/native/*/tests/#{&1}*") != []))
  end

  # A command of the release itself.
  defp known?(["bin/my_app" | _]), do: true
  defp known?(["bin/" <> _ = script | _]), do: File.exists?(Path.join(@root, script))
  defp known?([_program | _]), do: true

  defp files(words), do: for("test/" <> _ = file <- words, file != "test/FILE", do: file)
end
