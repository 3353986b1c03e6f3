defmodule BaileysEx.Test.Stores do
  @moduledoc false
  # The stores that the contract and the property tests run against, all through the same three functions: a
  # fresh place for keys, a store started over it, and its content without asking the store (`:unknown` if
  # nobody else can tell).

  alias BaileysEx.Auth.KeyStore
  alias BaileysEx.Signal.Store
  alias BaileysEx.Test.Backends

  # The last one is that of the guide, which `test_helper.exs` defines.
  @file_backends [
    BaileysEx.Auth.NativeFilePersistence,
    BaileysEx.Auth.FilePersistence,
    MyApp.OneFileBackend
  ]

  @type name() :: :memory | module()
  @type place() :: term()

  @doc "Returns the stores whose keys survive a restart of the store."
  @spec persistent() :: [name()]
  def persistent, do: [Backends.Batch, Backends.KeyByKey | @file_backends]

  @spec all() :: [name()]
  def all, do: [:memory | persistent()]

  @doc "Returns the stores that keep keys in files."
  @spec file_backends() :: [module()]
  def file_backends, do: @file_backends

  @spec new_place(name()) :: place()
  def new_place(:memory), do: nil

  def new_place(backend) when backend in [Backends.Batch, Backends.KeyByKey] do
    Backends.Table.new()
  end

  def new_place(_file_backend) do
    name = "baileys_ex_store_#{System.pid()}_#{System.unique_integer([:positive])}"
    Path.join(directory(), name)
  end

  # Other tests check that files survive a power cut. In memory, flushing costs nothing.
  defp directory do
    if File.dir?("/dev/shm"), do: "/dev/shm", else: System.tmp_dir!()
  end

  @spec delete_place(place()) :: :ok
  def delete_place(nil), do: :ok
  def delete_place(%Backends.Table{} = table), do: Backends.Table.delete(table)

  # A store ends with the test that started it, and only then writes its files.
  def delete_place(path) do
    case File.rm_rf(path) do
      {:ok, _removed} -> :ok
      {:error, _not_empty, _file} -> delete_place(path)
    end
  end

  @spec start(name(), place(), keyword()) :: {:ok, Store.t()}
  def start(name, place, opts \\ [])
  def start(:memory, nil, _opts), do: Store.start_link()

  def start(backend, place, opts) do
    defaults = [
      module: KeyStore,
      persistence_module: backend,
      persistence_context: place,
      delay_between_tries_ms: 0
    ]

    Store.start_link(Keyword.merge(defaults, opts))
  end

  @spec stop(Store.t()) :: :ok
  def stop(%Store{ref: ref}), do: GenServer.stop(ref.pid)

  @doc "Returns the place's keys as `%{{type, id} => value}`."
  @spec contents(name(), place()) :: map() | :unknown
  def contents(:memory, nil), do: :unknown
  def contents(_backend, %Backends.Table{} = table), do: Backends.Table.contents(table)

  def contents(backend, path) do
    {:ok, listed} = backend.list_keys(path)

    for {type, ids} <- listed, id <- ids, into: %{} do
      {:ok, value} = backend.load_keys(path, type, id)
      {{type, id}, value}
    end
  end
end

defmodule BaileysEx.Test.Values do
  @moduledoc false
  # Terms that every backend accepts for a family, distinguished by a number.

  @types [:"pre-key", :"lid-mapping", :"device-list"]

  @spec types() :: [atom()]
  def types, do: @types

  @spec value(atom(), non_neg_integer()) :: term()
  def value(:"pre-key", n), do: %{public: <<n::256>>, private: <<n + 1::256>>}
  def value(:"lid-mapping", n), do: Integer.to_string(n)
  def value(:"device-list", n), do: [Integer.to_string(n), "0"]
end
