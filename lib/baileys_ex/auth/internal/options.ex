defmodule BaileysEx.Auth.Options do
  @moduledoc false
  # What may be asked of a function. A misspelt option would leave its default standing without a word.

  @doc "The options, if all of them are known. The message shows no value: one may be a key."
  @spec check!(keyword(), [atom()]) :: keyword()
  def check!(opts, known) do
    if not Keyword.keyword?(opts) do
      raise ArgumentError, "expected a keyword list of options; there are #{inspect(known)}"
    end

    case Enum.uniq(Keyword.keys(opts)) -- known do
      [] ->
        opts

      unknown ->
        raise ArgumentError, "unknown options #{inspect(unknown)}; there are #{inspect(known)}"
    end
  end

  @doc "Whether credentials that are not there are an error, as `load_credentials` of each backend takes it."
  @spec must_exist?(keyword()) :: boolean()
  def must_exist?(opts) do
    case opts |> check!([:must_exist]) |> Keyword.get(:must_exist, false) do
      flag when is_boolean(flag) -> flag
      _other -> raise ArgumentError, "expected :must_exist to be true or false"
    end
  end

  @doc "The value of an option that has a few; the first is taken where none is given."
  @spec one_of!(keyword(), atom(), [choice, ...]) :: choice when choice: atom()
  def one_of!(opts, name, [default | _] = choices) do
    value = Keyword.get(opts, name, default)

    if value not in choices do
      shown = Enum.map_join(choices, " or ", &inspect/1)
      raise ArgumentError, "expected #{inspect(name)} to be #{shown}, not #{inspect(value)}"
    end

    value
  end
end
