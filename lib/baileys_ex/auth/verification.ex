defmodule BaileysEx.Auth.Verification do
  @moduledoc """
  Reads every file of an auth directory and reports all files that cannot be read, together.

  Call it through `verify/2` of a backend. It writes nothing and takes no lock, so the directory may be in
  use, even by another VM. A commit that a crash interrupted is read from the journal as if it were complete.
  If a commit is made during the verification, some of its files may be read in their old state and others in
  the new one.
  """

  alias BaileysEx.Auth.{DamagedDirectoryError, Directory, Keys, Native, NativeError, Options}

  @typedoc """
  What was read.

    * `:credentials?`: whether credentials were saved
    * `:families`: the number of keys by type
    * `:unknown`: files with a key's extension but of no known family, perhaps another program's; they were
      not read
    * `:ignored`: files that are not keys, such as leftovers of interrupted writes and copies that other
      programs made of files
    * `:bytes_read`: how many bytes of file content were read
  """
  @type report() :: %{
          credentials?: boolean(),
          families: %{optional(atom() | String.t()) => pos_integer()},
          unknown: [String.t()],
          ignored: [String.t()],
          bytes_read: non_neg_integer()
        }

  @typedoc """
  Options of `verify/2`. Keys without credentials are `{:error, {:no_credentials, path}}` unless
  `:credentials` is `:optional`, because such a directory would be taken for a fresh identity.
  """
  @type option() ::
          {:credentials, :required | :optional}
          | {:on_progress, (%{done: non_neg_integer(), total: non_neg_integer()} -> term())}

  # Files per step, as in a migration.
  @step 256

  @doc false
  @spec run(Directory.backend(), Path.t(), [option()]) :: {:ok, report()} | {:error, term()}
  def run({module, format}, path, opts) do
    Options.check!(opts, [:credentials, :on_progress])
    required? = Options.one_of!(opts, :credentials, [:required, :optional]) == :required
    path = Directory.absolute(path)

    case survey({module, format}, path, opts) do
      {:ok, %{damaged: [_ | _] = files}} ->
        {:error, %DamagedDirectoryError{path: path, files: files}}

      {:ok, %{credentials?: false, families: keys}} when required? and keys != %{} ->
        {:error, {:no_credentials, path}}

      {:ok, survey} ->
        {:ok, Map.drop(survey, [:damaged, :dialects, :growth])}

      error ->
        error
    end
  end

  @doc false
  # A report that also contains the damaged files, the number of files in each dialect of JSON, and when keys
  # were written: in seconds since 1970, `nil` for a key that has no file yet, and in milliseconds for the
  # last uses of sessions.
  @spec survey(Directory.backend(), Path.t(), [option()]) :: {:ok, map()} | {:error, term()}
  def survey(backend, path, opts) do
    on_progress = Keyword.get(opts, :on_progress, fn _progress -> :ok end)

    with {:ok, path} <- path |> Directory.absolute() |> Directory.text(),
         do: survey_text(backend, path, on_progress)
  end

  defp survey_text({module, format}, path, on_progress) do
    outcome =
      with {:ok, survey, total} <- Native.survey_begin(path, format),
           :ok <- steps(survey, 0, total, on_progress) do
        {:ok, Native.survey_finish(survey)}
      end

    case outcome do
      {:ok, {credentials?, counts, damaged, {ignored, unknown}, bytes_read, dialects, growth}} ->
        {:ok,
         %{
           credentials?: credentials?,
           families: families(counts),
           damaged: DamagedDirectoryError.files(damaged),
           unknown: unknown,
           ignored: ignored,
           bytes_read: bytes_read,
           dialects: Map.new(dialects),
           growth: growth(growth)
         }}

      {:error, reason} ->
        {:error, NativeError.to_public(reason, module)}
    end
  end

  @doc false
  # The NIF's counts, by type, for reports and summaries.
  @spec families([{String.t(), pos_integer()}]) :: %{
          optional(atom() | String.t()) => pos_integer()
        }
  def families(counts) do
    Map.new(counts, fn
      {"", count} -> {:unknown, count}
      {family, count} -> {Keys.type(family), count}
    end)
  end

  defp growth({written, pre_keys, last_uses}) do
    written = Map.new(written, fn {family, times} -> {Keys.type(family), times} end)
    %{written: written, pre_keys: pre_keys, last_uses: last_uses}
  end

  defp steps(_survey, total, total, _on_progress), do: :ok

  defp steps(survey, _done, total, on_progress) do
    with {:ok, done} <- Native.survey_step(survey, @step) do
      on_progress.(%{done: done, total: total})
      steps(survey, done, total, on_progress)
    end
  end
end
