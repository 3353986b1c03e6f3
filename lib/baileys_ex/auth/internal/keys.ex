defmodule BaileysEx.Auth.Keys do
  @moduledoc false
  # What a key is called, and changes of keys, as every backend takes them down.

  alias BaileysEx.Auth.{InvalidTermError, Persistence}
  alias BaileysEx.Signal.Store.Id

  @typedoc "A key by the name of its family and its id; the credentials have no id."
  @type key() :: {family :: String.t(), id :: String.t() | nil}

  @creds {"creds", nil}

  # The families that Baileys and baileys_ex have: their atoms exist wherever this is loaded.
  @families ~w(session pre-key sender-key sender-key-memory app-state-sync-key
               app-state-sync-version lid-mapping device-list tctoken identity-key)a
  @family_atoms Map.new(@families, &{Atom.to_string(&1), &1})

  @doc "The name of the credentials."
  @spec creds() :: key()
  def creds, do: @creds

  @spec key(atom() | String.t(), term()) :: key()
  def key(type, id), do: {Id.text!(type), Id.text!(id)}

  @doc "The names of the families that are known."
  @spec families() :: [String.t()]
  def families, do: Map.keys(@family_atoms)

  @doc "The type of a family that was read: never a new atom."
  @spec type(String.t()) :: atom() | String.t()
  def type(family) do
    case @family_atoms do
      %{^family => type} -> type
      _ -> String.to_existing_atom(family)
    end
  rescue
    ArgumentError -> family
  end

  @doc "A flat list of `{family, id, value}`; `nil` stands for deletion."
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
      # Not left to raise: that would show the values.
      {:error, %InvalidTermError{problem: "changes are not a map of types to maps of ids"}}
    end
  end

  defp entries?(term), do: is_map(term) and not is_struct(term)
end
