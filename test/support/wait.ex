defmodule BaileysEx.Test.Wait do
  @moduledoc "Waits for what another process, or a thread of the library's, is about to do."

  @doc """
  What `fun` returns as soon as that is neither `nil` nor `false`. Long before a test times out, it says
  where it waited in vain.
  """
  def until(fun, deadline \\ System.monotonic_time(:millisecond) + 30_000) do
    cond do
      found = fun.() -> found
      System.monotonic_time(:millisecond) > deadline -> raise "waited in vain for 30 s"
      true -> Process.sleep(1) && until(fun, deadline)
    end
  end
end
