defmodule BaileysEx.Auth.CLI.Command do
  @moduledoc false
  # What each command of `BaileysEx.Auth.CLI` is.

  alias BaileysEx.Auth.CLI.Terminal

  @typedoc """
  What a command gives back: a document for `--json` and a text for people, said to be `:ok` or a
  `:problem`; an error of the library; or what is wrong with its arguments.
  """
  @type outcome() ::
          {:ok | :problem, document :: map(), text :: iodata()}
          | {:error, reason :: term()}
          | {:usage, message :: String.t()}

  @doc "The text of `--help`."
  @callback usage() :: String.t()

  @doc "Its options beside `--help` and `--json`."
  @callback switches() :: keyword(:boolean | :string)

  @callback run(arguments :: [String.t()], options :: keyword(), Terminal.t()) :: outcome()
end
