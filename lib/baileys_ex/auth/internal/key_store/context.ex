defmodule BaileysEx.Auth.KeyStore.Context do
  @moduledoc false
  # The `:persistence_context` of a store: the place that its backend works on, as far as the store may know it.

  alias BaileysEx.Auth.Directory.Forms
  alias BaileysEx.Auth.NativeFilePersistence

  @type t() :: {:ok, term()} | :error

  @doc "The persistence module that these options name."
  @spec module(keyword()) :: module()
  def module(opts), do: Keyword.get(opts, :persistence_module, NativeFilePersistence)

  @doc """
  The context that these options name. A directory is where it is now, the default one too: the current
  directory may be another one when the store writes, or is started again.
  """
  @spec of!(keyword()) :: t()
  def of!(opts) do
    settled = opts |> settle() |> Keyword.fetch(:persistence_context)

    # It may be the context of another backend, with a password, and is not shown.
    if Forms.format(module(opts)) && not match?({:ok, path} when is_binary(path), settled) do
      raise ArgumentError, "expected :persistence_context to be the path of a directory"
    end

    settled
  end

  @doc "The options with that context; what is no path stays as it is."
  @spec settle(keyword()) :: keyword()
  def settle(opts) do
    module = module(opts)

    if Forms.format(module) do
      path = Keyword.get_lazy(opts, :persistence_context, &module.default_path/0)
      Keyword.put(opts, :persistence_context, absolute(path))
    else
      opts
    end
  end

  defp absolute(path) when is_binary(path) or is_list(path) do
    Path.expand(path)
  rescue
    _ in [ArgumentError, UnicodeConversionError] -> path
  end

  defp absolute(other), do: other

  @doc "What a child specification calls it; `nil` without one."
  @spec id(keyword()) :: term()
  def id(opts) do
    case opts[:persistence_context] do
      # The directory of the built-in backends, which is good to see.
      path when is_binary(path) or path == nil -> path
      context -> fingerprint(context)
    end
  end

  @doc "Tells contexts apart, one may hold a password, where system status and logs show them."
  @spec fingerprint(term()) :: binary()
  def fingerprint(context) do
    :crypto.hash(:sha256, :erlang.term_to_binary(context, [:deterministic]))
  end
end
