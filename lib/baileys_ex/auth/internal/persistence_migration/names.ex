defmodule BaileysEx.Auth.PersistenceMigration.Names do
  @moduledoc false
  # The meaning of row names: `creds` or `auth_creds`, and `<type>-<id>`, after a prefix that stores of
  # several accounts use. The prefix is what all names have in common up to a separator, so it is known only
  # after all names have been seen.

  alias BaileysEx.Auth.Keys

  # Of two families with the same beginning, the longer one comes first.
  @families Enum.sort_by(Keys.families(), &byte_size/1, :desc)

  @creds ["creds", "auth_creds"]

  # The maximum number of accounts to name if several are found.
  @shown 20

  # `ends` are the positions after separators in the common beginning of all names so far; `counts` says for
  # each how many names are those of a key from there on.
  defstruct common: nil, ends: [0], counts: %{}, creds: []

  @type t() :: %__MODULE__{}

  @doc "Returns the family and id of a name. The longest matching family counts."
  @spec parse(String.t()) :: {:ok, {String.t(), String.t() | nil}} | :error
  def parse(name) when name in @creds, do: {:ok, {"creds", nil}}

  for family <- @families do
    def parse(unquote(family) <> "-" <> id) when id != "", do: {:ok, {unquote(family), id}}
  end

  def parse(_other), do: :error

  @doc "Returns the key of a known family."
  @spec key(String.t(), String.t() | nil) :: {:ok, {String.t(), String.t() | nil}} | :error
  def key("creds", nil), do: {:ok, {"creds", nil}}
  def key(family, id) when family in @families and is_binary(id), do: {:ok, {family, id}}
  def key(_family, _id), do: :error

  @spec see(t(), String.t()) :: t()
  def see(names, name) do
    names = narrow(names, name)

    counts =
      for at <- names.ends,
          at < byte_size(name),
          {:ok, _key} <- [parse(behind(name, at))],
          reduce: names.counts do
        counts -> Map.update(counts, at, 1, &(&1 + 1))
      end

    %{names | counts: counts, creds: with_creds(names.creds, name)}
  end

  defp narrow(%{common: nil} = names, name), do: %{names | common: name, ends: ends(name)}

  defp narrow(%{common: common} = names, name) do
    case :binary.longest_common_prefix([common, name]) do
      length when length == byte_size(common) ->
        names

      length ->
        common = binary_part(common, 0, length)
        %{names | common: common, ends: ends(common)}
    end
  end

  defp ends(common) do
    separators = :binary.matches(common, [":", "/", "-", "_", ".", "|", "#", "@"])
    [0 | Enum.map(separators, fn {at, _length} -> at + 1 end)]
  end

  defp with_creds(creds, name) do
    prefix =
      Enum.find_value(["auth_creds", "creds"], fn ending ->
        if String.ends_with?(name, ending),
          do: binary_part(name, 0, byte_size(name) - byte_size(ending))
      end)

    cond do
      prefix == nil or prefix in creds or length(creds) == @shown -> creds
      prefix == "" or String.last(prefix) =~ ~r/[^A-Za-z0-9]/ -> [prefix | creds]
      true -> creds
    end
  end

  @doc """
  Returns the prefix that all names have. The result is `{:error, prefixes}` if there are credentials, but
  none with this prefix. Then the rows belong to several accounts, or not all of them have the prefix.
  """
  @spec prefix(t()) :: {:ok, String.t()} | {:error, [String.t()]}
  def prefix(%{creds: creds} = names) do
    at =
      names.counts
      |> Enum.filter(fn {at, _count} -> at in names.ends end)
      |> Enum.max_by(
        fn {at, count} -> {count, binary_part(names.common, 0, at) in creds, -at} end,
        fn -> {0, 0} end
      )
      |> elem(0)

    prefix = binary_part(names.common || "", 0, at)

    if creds == [] or prefix in creds,
      do: {:ok, prefix},
      else: {:error, Enum.sort(creds)}
  end

  @doc "Returns the name without a prefix, or `:error` if it has another one."
  @spec without(String.t(), String.t()) :: {:ok, String.t()} | :error
  def without(name, prefix) do
    if String.starts_with?(name, prefix),
      do: {:ok, behind(name, byte_size(prefix))},
      else: :error
  end

  defp behind(name, at), do: binary_part(name, at, byte_size(name) - at)
end
