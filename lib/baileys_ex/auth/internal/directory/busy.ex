defmodule BaileysEx.Auth.Directory.Busy do
  @moduledoc false
  # Waits for a directory that another process of the operating system has locked. The NIF itself only tries,
  # so that it occupies no scheduler.

  # A commit takes a millisecond, and a migration of a hundred thousand keys some seconds.
  @limit_ms 15_000
  @first_pause_ms 1
  @longest_pause_ms 20

  @doc "Returns the first answer of `try` that is not busy, or its last answer after `limit_ms`."
  @spec wait((() -> answer), non_neg_integer()) :: answer when answer: term()
  def wait(try, limit_ms \\ @limit_ms) do
    case try.() do
      {:error, reason} = answer ->
        if busy?(reason),
          do: wait(try, answer, now() + limit_ms, @first_pause_ms),
          else: answer

      answer ->
        answer
    end
  end

  defp wait(try, answer, deadline, pause) do
    if now() >= deadline do
      answer
    else
      # Random, because two callers with equal pauses could collide for ever.
      Process.sleep(:rand.uniform(pause))

      case try.() do
        {:error, reason} = answer ->
          if busy?(reason),
            do: wait(try, answer, deadline, min(pause * 2, @longest_pause_ms)),
            else: answer

        answer ->
          answer
      end
    end
  end

  defp busy?({:busy, _path, _holder}), do: true
  # For a migration or a copy.
  defp busy?({side, {:busy, _path, _holder}}) when side in [:source, :target], do: true
  defp busy?(_reason), do: false

  defp now, do: System.monotonic_time(:millisecond)
end
