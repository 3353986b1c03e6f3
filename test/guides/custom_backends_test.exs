defmodule BaileysEx.Guides.CustomBackendsTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Test.Guide

  test "the code of the guide runs and gives what it says" do
    binding = Guide.run("guides/custom-backends.md")
    assert binding[:connect_opts][:signal_store_opts][:persistence_module] == MyApp.OneFileBackend
    GenServer.stop(binding[:pid])
    File.rm!(binding[:path])
  end
end
