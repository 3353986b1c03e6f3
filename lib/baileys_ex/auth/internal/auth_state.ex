defmodule BaileysEx.Auth.AuthState do
  @moduledoc false
  # Credentials as all backends accept and return them, also through the `use_*_auth_state` helpers.

  alias BaileysEx.Auth.{InvalidTermError, Persistence, State}

  # Only a name for the connection, never called here: the key store depends on the backends.
  @key_store :"Elixir.BaileysEx.Auth.KeyStore"

  @type save() :: (State.t() -> :ok | {:error, term()})

  @doc "Returns the loaded state, with what keeps keys and credentials in this context of the backend."
  @spec helper(module(), context :: term(), State.t(), save()) :: Persistence.auth_state_helper()
  def helper(module, context, state, save) do
    %{
      state: state,
      connect_opts: [
        signal_store_module: @key_store,
        signal_store_opts: [persistence_module: module, persistence_context: context]
      ],
      save_creds: save_creds(save)
    }
  end

  defp save_creds(save) do
    fn
      %{creds: creds} -> save_fields(creds, save)
      fields -> save_fields(fields, save)
    end
  end

  defp save_fields(%State{} = state, save), do: save.(state)

  # Any other struct is not an enumerable of fields.
  defp save_fields(fields, save) when is_map(fields) and not is_struct(fields),
    do: save.(struct(State, fields))

  defp save_fields(_other, _save), do: no_state()

  @doc """
  Returns the credentials of an account that has none saved: a fresh identity, unless `must_exist?`. `place`
  is what the error then names.
  """
  @spec fresh(place :: String.t(), must_exist? :: boolean()) ::
          {:ok, State.t()} | {:error, {:no_credentials, String.t()}}
  def fresh(_place, false), do: {:ok, State.new()}
  def fresh(place, true), do: {:error, {:no_credentials, place}}

  @doc "Returns a complete state of this version, or the error that names what the given one lacks."
  @spec complete(term()) :: {:ok, State.t()} | {:error, InvalidTermError.t()}
  def complete(state) do
    with {:error, {member, problem}} <- State.complete(state) do
      {:error, %InvalidTermError{member: "creds.#{member}", problem: problem}}
    end
  end

  @doc "The error for credentials that are not a state. Raising would show them."
  @spec no_state() :: {:error, InvalidTermError.t()}
  def no_state do
    {:error, %InvalidTermError{member: "creds", problem: "is not a BaileysEx.Auth.State"}}
  end
end
