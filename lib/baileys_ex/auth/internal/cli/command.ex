defmodule BaileysEx.Auth.CLI.Command do
  @moduledoc false
  # The behaviour of each command of `BaileysEx.Auth.CLI`.

  alias BaileysEx.Auth.CLI.Terminal

  @typedoc """
  The result of a command: a document for `--json` and a text for people, marked as `:ok` or as a `:problem`;
  an error of the library; or what is wrong with its arguments.
  """
  @type outcome() ::
          {:ok | :problem, document :: map(), text :: iodata()}
          | {:error, reason :: term()}
          | {:usage, message :: String.t()}

  @doc "The text of `--help`."
  @callback usage() :: String.t()

  @doc "The options besides `--help` and `--json`."
  @callback switches() :: keyword(:boolean | :string)

  @callback run(arguments :: [String.t()], options :: keyword(), Terminal.t()) :: outcome()
end
