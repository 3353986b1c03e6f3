defmodule BaileysEx.Auth.KeyStore.Context do
  @moduledoc false
  # The `:persistence_context` of a store: the place that its backend uses, as far as the store may know it.

  alias BaileysEx.Auth.{Directory, NativeFilePersistence}
  alias BaileysEx.Auth.Directory.Forms

  @type t() :: {:ok, term()} | :error

  @doc "Returns the persistence module that these options name."
  @spec module(keyword()) :: module()
  def module(opts), do: Keyword.get(opts, :persistence_module, NativeFilePersistence)

  @doc """
  Returns the context that these options name. A directory, even the default one, is resolved now, because the
  current directory may be another one when the store writes or is restarted.
  """
  @spec of!(keyword()) :: t()
  def of!(opts) do
    settled = opts |> settle() |> Keyword.fetch(:persistence_context)

    # This may be the context of another backend, with a password, so it is not shown.
    if Forms.format(module(opts)) &&
         not match?({:ok, path} when is_binary(path) and path != "", settled) do
      raise ArgumentError, "expected :persistence_context to be the path of a directory"
    end

    settled
  end

  @doc "Returns the options with that context; a value that is not a path stays unchanged."
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
    Directory.absolute(path)
  rescue
    _ in [ArgumentError, UnicodeConversionError] -> path
  end

  defp absolute(other), do: other

  @doc "Returns the part of a child id that stands for the context; `nil` without one."
  @spec id(keyword()) :: term()
  def id(opts) do
    case opts[:persistence_context] do
      # The directory of a built-in backend, which may be shown.
      path when is_binary(path) or path == nil -> path
      context -> fingerprint(context)
    end
  end

  @doc "Distinguishes contexts, which may contain a password, where system status and logs show them."
  @spec fingerprint(term()) :: binary()
  def fingerprint(context) do
    :crypto.hash(:sha256, :erlang.term_to_binary(context, [:deterministic]))
  end
end
