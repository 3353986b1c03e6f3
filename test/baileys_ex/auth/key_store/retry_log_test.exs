defmodule BaileysEx.Auth.KeyStore.RetryLogTest do
  # The log belongs to the whole VM.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog

  alias BaileysEx.Auth.KeyStore

  defmodule Failing do
    @moduledoc false
    # The context is a counter of the commits that will still fail.
    def load_keys(_left, _type, _id), do: {:error, :not_found}
    def save_keys(_left, _type, _id, _value), do: :ok
    def delete_keys(_left, _type, _id), do: :ok
    def commit_keys(left, _changes), do: if(fail?(left), do: {:error, :enospc}, else: :ok)
    def place_name(_left), do: "the account ada"
    defp fail?(left), do: :counters.get(left, 1) > 0 and :counters.sub(left, 1, 1) == :ok
  end

  defp log(failures, tries) do
    left = :counters.new(1, [])
    :counters.put(left, 1, failures)

    {:ok, pid} =
      KeyStore.start_link(
        persistence_module: Failing,
        persistence_context: left,
        max_commit_retries: tries,
        delay_between_tries_ms: 0
      )

    capture_log(fn ->
      try do
        KeyStore.set(KeyStore.wrap(pid), %{"lid-mapping": %{"1" => "secret"}})
      rescue
        error in KeyStore.OperationError -> error
      end
    end)
  end

  defp count(log, text), do: length(String.split(log, text)) - 1

  test "a commit that is tried again logs one warning, and one line when it works again" do
    log = log(5, 10)
    assert count(log, "key store of the account ada could not save: :enospc") == 1
    assert count(log, "key store of the account ada commits again") == 1
    refute log =~ "secret"
  end

  test "one that never works logs the warning alone" do
    log = log(50, 10)
    assert count(log, "could not save: :enospc") == 1
    refute log =~ "commits again"
  end

  test "a commit that works at once, or is not tried again, logs nothing" do
    assert log(0, 10) == ""
    assert log(1, 1) == ""
  end
end
