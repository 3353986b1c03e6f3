defmodule BaileysEx.Test.Wait do
  @moduledoc "Waits for something that another process, or a thread of the library, is about to do."

  @doc """
  Returns the first result of `fun` that is neither `nil` nor `false`. Long before a test times out, it fails
  at the place where it waited in vain.
  """
  def until(fun, deadline \\ System.monotonic_time(:millisecond) + 30_000) do
    cond do
      found = fun.() -> found
      System.monotonic_time(:millisecond) > deadline -> raise "waited in vain for 30 s"
      true -> Process.sleep(1) && until(fun, deadline)
    end
  end
end
