defmodule BaileysEx.Auth.Keys do
  @moduledoc false
  # The names of keys, and changes of keys in the form that all backends use.

  alias BaileysEx.Auth.{InvalidTermError, Persistence}
  alias BaileysEx.Signal.Store.Id

  @typedoc "A key, as the name of its family and its id; the credentials have no id."
  @type key() :: {family :: String.t(), id :: String.t() | nil}

  @creds {"creds", nil}

  # The families of Baileys and baileys_ex. Their atoms exist wherever this module is loaded.
  @families ~w(session pre-key sender-key sender-key-memory app-state-sync-key
               app-state-sync-version lid-mapping device-list tctoken identity-key)a
  @family_atoms Map.new(@families, &{Atom.to_string(&1), &1})

  @doc "The name of the credentials."
  @spec creds() :: key()
  def creds, do: @creds

  @spec key(atom() | String.t(), term()) :: key()
  def key(type, id), do: {Id.text!(type), Id.text!(id)}

  @doc "The names of the known families."
  @spec families() :: [String.t()]
  def families, do: Map.keys(@family_atoms)

  @doc "Returns the type of a family that was read. Never creates an atom."
  @spec type(String.t()) :: atom() | String.t()
  def type(family) do
    case @family_atoms do
      %{^family => type} -> type
      _ -> String.to_existing_atom(family)
    end
  rescue
    ArgumentError -> family
  end

  @doc "Returns a flat list of `{family, id, value}`; `nil` stands for deletion."
  @spec flatten(Persistence.changes()) ::
          {:ok, [{String.t(), String.t(), term() | nil}]} | {:error, InvalidTermError.t()}
  def flatten(changes) do
    if entries?(changes) and Enum.all?(changes, fn {_type, of_type} -> entries?(of_type) end) do
      {:ok,
       for {type, entries} <- changes, {id, value} <- entries do
         {family, id} = key(type, id)
         {family, id, value}
       end}
    else
      # Not left to raise, because that would show the values.
      {:error, %InvalidTermError{problem: "changes are not a map of types to maps of ids"}}
    end
  end

  defp entries?(term), do: is_map(term) and not is_struct(term)
end
