defmodule BaileysEx.Auth.PersistenceMigration.JsonRows do
  @moduledoc false
  # Rows in the form in which their owner has them, each with its JSON as text: `{:row, name, text}`,
  # `{:key, family, id, text}` or `{:damaged, error}`. They come from an enumerable, a document, or the lines
  # of a dump.

  alias BaileysEx.Auth.{BaileysJSON, CorruptFileError, Keys, Native}

  @type row() ::
          {:row, name :: String.t(), text :: binary()}
          | {:key, family :: String.t(), id :: String.t() | nil, text :: binary()}
          | {:damaged, CorruptFileError.t()}

  # Lines that are read at once.
  @batch 256

  @doc "Returns the rows of a caller's argument. Raises for anything else, without showing it."
  @spec of(term()) :: Enumerable.t()
  def of(text) when is_binary(text), do: text |> kept("the document") |> Enum.map(&row!/1)

  def of(%{"keys" => _keys} = document), do: document(document)

  def of(%{"creds" => creds} = document) when map_size(document) == 1 and is_map(creds),
    do: document(document)

  def of(enumerable) do
    if Enumerable.impl_for(enumerable) == nil, do: no_rows!()
    Stream.map(enumerable, &row!/1)
  end

  @doc "Returns the content of a dump as a caller would give it: one row per line, or one document over many lines."
  @spec of_lines(Enumerable.t(), source :: String.t()) :: Enumerable.t()
  def of_lines(lines, source) do
    lines
    |> Stream.with_index(1)
    |> Stream.reject(fn {line, _number} -> String.trim(line) == "" end)
    |> Stream.transform(
      fn -> :first end,
      &line(&1, &2, source),
      &last(&1, source),
      fn _state -> :ok end
    )
  end

  @doc "Returns the JSON of a row."
  @spec text(row()) :: binary()
  def text({:row, _name, text}), do: text
  def text({:key, _family, _id, text}), do: text

  @doc "Returns the name of a row in errors and summaries."
  @spec name(row()) :: String.t()
  def name({:row, name, _text}), do: name
  def name({:key, family, nil, _text}), do: family
  def name({:key, family, id, _text}), do: "#{family}-#{id}"

  # If the first line is not a row by itself, it begins a document.
  defp line({text, _number} = line, :first, source) do
    if whole?(text), do: gather(line, [], source), else: {[], {:document, [line]}}
  end

  defp line(line, {:lines, batch}, source), do: gather(line, batch, source)
  defp line(line, {:document, lines}, _source), do: {[], {:document, [line | lines]}}

  defp gather(line, batch, source) when length(batch) == @batch - 1,
    do: {rows([line | batch], source), {:lines, []}}

  defp gather(line, batch, _source), do: {[], {:lines, [line | batch]}}

  defp last(:first, _source), do: {[], :done}
  defp last({:lines, batch}, source), do: {rows(batch, source), :done}

  # Or it is one damaged row among others.
  defp last({:document, lines}, source) do
    if Enum.any?(lines, fn {text, _number} -> whole?(text) end) do
      {rows(lines, source), :done}
    else
      text = lines |> Enum.reverse() |> Enum.map(&elem(&1, 0)) |> IO.iodata_to_binary()
      {kept(text, source), :done}
    end
  end

  defp whole?(text), do: not match?([{:error, _problem}], Native.codec_kept([text]))

  defp rows(batch, source) do
    {lines, numbers} = batch |> Enum.reverse() |> Enum.unzip()

    lines
    |> Native.codec_kept()
    |> Enum.zip(numbers)
    |> Enum.flat_map(fn {term, number} -> row_of(term, "#{source}, line #{number}") end)
  end

  defp kept(text, source) do
    [term] = Native.codec_kept([text])
    row_of(term, source)
  end

  defp row_of({:row, name, text}, _source), do: [{name, text}]
  defp row_of({:account, values}, _source), do: values

  defp row_of({:error, {_member, problem}}, source) do
    [{:damaged, %CorruptFileError{path: source, problem: problem, kind: :row}}]
  end

  defp row!({name, json}) when is_binary(name) do
    with({:ok, text} <- text(name, json), do: {:row, valid!(name), text})
  end

  defp row!({type, nil, json}) when type in [:creds, "creds"] do
    with({:ok, text} <- text("creds", json), do: {:key, "creds", nil, text})
  end

  defp row!({type, id, json}) when (is_atom(type) or is_binary(type)) and not is_nil(id) do
    {family, id} = Keys.key(type, id)
    {family, id} = {valid!(family), valid!(id)}
    with({:ok, text} <- text("#{family}-#{id}", json), do: {:key, family, id, text})
  end

  defp row!({:damaged, %CorruptFileError{}} = damaged), do: damaged
  defp row!(_other), do: no_rows!()

  defp valid!(name), do: if(String.valid?(name), do: name, else: no_rows!())

  defp text(name, json) do
    with {:error, problem} <- BaileysJSON.text(json),
         do: {:damaged, %CorruptFileError{path: name, problem: problem, kind: :row}}
  end

  defp document(document) do
    case BaileysJSON.text(document) do
      {:ok, text} ->
        of(text)

      {:error, problem} ->
        [{:damaged, %CorruptFileError{path: "the document", problem: problem, kind: :row}}]
    end
  end

  @spec no_rows!() :: no_return()
  defp no_rows! do
    raise ArgumentError,
          "expected rows {name, json} or {type, id, json} with names that are text, or one document " <>
            "with \"creds\" and \"keys\""
  end
end
