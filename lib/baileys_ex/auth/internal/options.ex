defmodule BaileysEx.Auth.Options do
  @moduledoc false
  # Checks the options of a function. Without this check, a misspelt option would silently leave its default
  # in place.

  @doc "Returns the options if all of them are known. The message shows no value, because one may be a key."
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

  @doc "Whether missing credentials are an error, as an option of `load_credentials` of each backend."
  @spec must_exist?(keyword()) :: boolean()
  def must_exist?(opts) do
    case opts |> check!([:must_exist]) |> Keyword.get(:must_exist, false) do
      flag when is_boolean(flag) -> flag
      _other -> raise ArgumentError, "expected :must_exist to be true or false"
    end
  end

  @doc "Returns the value of an option that allows only a few. The first is the default."
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
