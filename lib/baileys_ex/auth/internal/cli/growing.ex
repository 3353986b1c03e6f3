defmodule BaileysEx.Auth.CLI.Growing do
  @moduledoc false
  # `--warn-above`, and the types that exceed it, for people.

  alias BaileysEx.Auth.CLI.{Layout, Terminal}
  alias BaileysEx.Auth.Inspection.{Growth, WarnAbove}
  alias BaileysEx.Auth.Numbers

  @title "many keys of one type (see the guide, Growth)"

  @doc "The title of the list."
  @spec title() :: String.t()
  def title, do: @title

  @doc "Returns the option as the functions of `BaileysEx.Auth.Inspection` take it."
  @spec option(keyword()) :: {:ok, keyword()} | {:usage, String.t()}
  def option(options) do
    case options[:warn_above] && WarnAbove.parse(options[:warn_above]) do
      nil -> {:ok, []}
      {:ok, warn_above} -> {:ok, [warn_above: warn_above]}
      {:error, problem} -> {:usage, "--warn-above #{problem}"}
    end
  end

  @spec list([Growth.warning()], Terminal.t()) :: iodata()
  def list(warnings, terminal), do: Layout.list(terminal, @title, Enum.map(warnings, &text/1))

  @doc "Describes one type in one line."
  @spec text(Growth.warning()) :: String.t()
  def text(%{type: type, keys: keys, older: older}) do
    rest = if older, do: ", #{Numbers.number(older)} of them not written for 30 days", else: ""
    "#{type}: #{Numbers.number(keys)}#{rest}"
  end
end
