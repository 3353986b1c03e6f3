defmodule BaileysEx.Test.NumberedBatches do
  @moduledoc """
  Batches of changes that show from the outside which of them arrived, and whether completely.

  Batch `n` sets three keys of two families to the value `n`, adds its own key and deletes that of batch
  `n - 3`. A directory after batch `n` therefore has exactly one possible content.
  """

  alias BaileysEx.Auth.KeyStore

  @kept 3

  @doc """
  For a separate VM: prints `found <number>` (or what is wrong), then commits one batch after the other for
  ever, and prints the number of each acknowledged one.
  """
  @spec run(String.t(), String.t()) :: no_return()
  def run(writer, path) do
    {:ok, _} = Application.ensure_all_started(:baileys_ex_auth)
    commit = committer(writer, path)

    case found(backend(writer), path) do
      {:ok, number} ->
        print("found #{number}")
        commit_all(commit, number + 1)

      {:error, wrong} ->
        print("wrong #{wrong}")
        System.halt(1)
    end
  end

  @doc "Returns the last batch that a directory holds completely, or what is torn."
  @spec found(module(), Path.t()) :: {:ok, non_neg_integer()} | {:error, String.t()}
  def found(backend, path) do
    with {:ok, keys} <- backend.list_keys(path) do
      values =
        for {type, ids} <- keys, id <- ids, into: %{} do
          {:ok, value} = backend.load_keys(path, type, id)
          {{type, id}, value}
        end

      number = number(values[{:"lid-mapping", "a"}])

      if values == expected(number),
        do: {:ok, number},
        else: {:error, "torn: " <> inspect(values, limit: :infinity)}
    else
      {:error, :enoent} -> {:ok, 0}
      error -> {:error, inspect(error)}
    end
  end

  @spec backend(String.t()) :: module()
  def backend("json"), do: BaileysEx.Auth.FilePersistence
  def backend(_native), do: BaileysEx.Auth.NativeFilePersistence

  defp committer("key_store", path) do
    {:ok, pid} = KeyStore.start_link(persistence_context: path, max_commit_retries: 1)
    store = KeyStore.wrap(pid)

    fn changes ->
      KeyStore.transaction(store, "batch", &KeyStore.set(&1, changes))
    end
  end

  defp committer(writer, path), do: &backend(writer).commit_keys(path, &1)

  defp commit_all(commit, number) do
    :ok = commit.(batch(number))
    print("#{number}")
    commit_all(commit, number + 1)
  end

  defp batch(number) do
    own = %{"n#{number}" => text(number), "n#{number - @kept}" => nil}

    %{
      "lid-mapping": Map.merge(own, %{"a" => text(number), "b" => text(number)}),
      "device-list": %{"c" => [text(number)]}
    }
  end

  defp expected(0), do: %{}

  defp expected(number) do
    for own <- max(1, number - @kept + 1)..number,
        into: %{
          {:"lid-mapping", "a"} => text(number),
          {:"lid-mapping", "b"} => text(number),
          {:"device-list", "c"} => [text(number)]
        } do
      {{:"lid-mapping", "n#{own}"}, text(own)}
    end
  end

  # Sizes differ from batch to batch, so that records and files end anywhere.
  defp text(number), do: "#{number}:" <> String.duplicate("x", rem(number * 37, 1500))

  defp number(nil), do: 0
  defp number(text), do: text |> String.split(":") |> hd() |> String.to_integer()

  # Writes a line at once: every printed number was acknowledged.
  defp print(line), do: IO.binwrite(line <> "\n")
end
