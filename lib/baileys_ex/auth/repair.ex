defmodule BaileysEx.Auth.Repair do
  @moduledoc """
  Repairs a damaged auth directory as far as that is possible. `mix baileys.auth.repair` runs it.

      {:ok, plan} = BaileysEx.Auth.Repair.plan("baileys_auth_info")
      for step <- plan.steps, do: {step.file, step.problem, step.remedy}
      {:ok, done} = BaileysEx.Auth.Repair.run("baileys_auth_info")

  `plan/2` changes nothing. `run/2` makes the plan again and carries it out in one commit. First it copies
  every file that it changes to a separate directory inside the auth directory (`:set_aside`). Stop the
  program that uses the directory before you run it.

  Nothing is invented. Credentials are taken only from a file that holds all of them. If there is no such
  file, there is no remedy and nothing at all is changed: restore the directory from a backup, or pair again.

  Both functions take the option `:backend`. Its default is the result of
  `BaileysEx.Auth.Inspection.detect/1`.

  ## Errors

  The errors are those of `BaileysEx.Auth.Inspection.detect/1`, and those of the backend if a later version or
  another backend has written the directory.
  """

  alias BaileysEx.Auth.Directory.{Busy, Forms, Owner}

  alias BaileysEx.Auth.{
    CorruptFileError,
    DamagedDirectoryError,
    Directory,
    Inspection,
    Keys,
    Native,
    NativeError,
    Numbers,
    Options
  }

  @typedoc """
  What to do about a file.

    * `{:keep_document, kept, dropped}`: the document at the start of the file is whole and `kept` bytes long;
      the `dropped` bytes after it are removed
    * `{:take, file, modified, others}`: another file, last written at `modified`, holds the whole
      credentials; the files `others` hold credentials too. Anything saved after `modified` is lost
    * `{:remove_key, type, id}`: the key is removed, and will be made again
    * `:rebuild_manifest`: a manifest is written with what is known. Ids that cannot be read from file names
      are lost; those keys then get the ids that their file names suggest
    * `{:apply_journal, commits, trusted, bytes}`: the first `trusted` of the journal's `bytes` are whole
      commits, which are applied; the rest is only set aside
    * `:none`: no file holds the whole credentials
  """
  @type remedy() ::
          {:keep_document, kept :: pos_integer(), dropped :: pos_integer()}
          | {:take, String.t(), DateTime.t(), [String.t()]}
          | {:remove_key, atom() | String.t(), String.t()}
          | :rebuild_manifest
          | {:apply_journal, non_neg_integer(), non_neg_integer(), non_neg_integer()}
          | :none

  @typedoc """
  One file: what is wrong with it, what to do, and what that loses (`:cost`). `:modified` is when the file was
  last written, or `nil` if it does not exist.
  """
  @type step() :: %{
          file: String.t(),
          member: String.t() | nil,
          problem: String.t(),
          modified: DateTime.t() | nil,
          remedy: remedy(),
          cost: String.t()
        }

  @typedoc """
  A plan, or what was done.

    * `:left`: problems that a repair does not fix, such as files of another user
    * `:hopeless?`: there is no remedy for the credentials, and nothing is done
    * `:set_aside`: the directory with the files as they were; `nil` if nothing was done
  """
  @type t() :: %{
          path: Path.t(),
          backend: module(),
          steps: [step()],
          left: [CorruptFileError.t()],
          hopeless?: boolean(),
          set_aside: Path.t() | nil
        }

  @type option() :: {:backend, module()}

  @doc """
  Finds out what can be repaired, see `t:t/0`. It only reads. `:backend` is the backend whose files the
  directory holds; by default the result of `BaileysEx.Auth.Inspection.detect/1`.

      iex> BaileysEx.Auth.FilePersistence.save_credentials("auth", BaileysEx.Auth.State.new())
      iex> File.write!("auth/lid-mapping-15550000000.json", "{")
      iex> {:ok, plan} = BaileysEx.Auth.Repair.plan("auth")
      iex> for step <- plan.steps, do: {Path.basename(step.file), step.remedy}
      [{"lid-mapping-15550000000.json", {:remove_key, :"lid-mapping", "15550000000"}}]

  The errors are those of `BaileysEx.Auth.Inspection.detect/1`, and those of the backend if a later version or
  another backend has written the directory.
  """
  @spec plan(Path.t(), [option()]) :: {:ok, t()} | {:error, term()}
  def plan(path, opts \\ []) do
    with {:ok, module, path} <- directory(path, opts) do
      result = Busy.wait(fn -> Native.repair_plan(path, Forms.format(module)) end)
      report(result, module, path, nil)
    end
  end

  @doc """
  Carries out what `plan/2` proposes, with the same options and errors. It first copies the files that it
  changes to the directory that the result names as `:set_aside`.

      iex> BaileysEx.Auth.FilePersistence.save_credentials("auth", BaileysEx.Auth.State.new())
      iex> File.write!("auth/lid-mapping-15550000000.json", "{")
      iex> {:ok, done} = BaileysEx.Auth.Repair.run("auth")
      iex> File.ls!(done.set_aside)
      ["lid-mapping-15550000000.json"]
  """
  @spec run(Path.t(), [option()]) :: {:ok, t()} | {:error, term()}
  def run(path, opts \\ []) do
    with {:ok, module, path} <- directory(path, opts) do
      # A hidden name that no cleanup of unfinished files matches, so the copy stays until somebody deletes
      # it.
      aside = ".baileys_ex.set-aside-#{System.system_time(:millisecond)}"
      apply = fn -> Native.repair_apply(path, Forms.format(module), aside) end
      result = Owner.run([{module, path}], fn call -> call.(fn -> Busy.wait(apply) end) end)
      report(result, module, path, aside)
    end
  end

  defp directory(path, opts) do
    Options.check!(opts, [:backend])

    with {:ok, module} <- backend(path, opts), {:ok, path} <- Directory.real(path) do
      {:ok, module, path}
    end
  end

  defp backend(path, opts) do
    with :error <- Forms.given!(opts), do: Inspection.detect(path)
  end

  defp report({:ok, {steps, left}}, module, path, aside) do
    steps = Enum.map(steps, &step/1)
    hopeless? = Enum.any?(steps, &(&1.remedy == :none))
    done? = aside != nil and steps != [] and not hopeless?

    {:ok,
     %{
       path: path,
       backend: module,
       steps: steps,
       left: DamagedDirectoryError.files(left),
       hopeless?: hopeless?,
       set_aside: if(done?, do: Path.join(path, aside))
     }}
  end

  defp report({:error, reason}, module, _path, _aside) do
    {:error, NativeError.to_public(reason, module)}
  end

  defp step({file, member, problem, modified, remedy}) do
    modified = modified && time(modified)
    remedy = remedy(remedy)

    %{
      file: file,
      member: if(member != "", do: member),
      problem: problem,
      modified: modified,
      remedy: remedy,
      cost: cost(remedy, modified)
    }
  end

  defp remedy({:document, kept, dropped}), do: {:keep_document, kept, dropped}
  defp remedy({:sibling, file, modified, others}), do: {:take, file, time(modified), others}
  defp remedy({:remove, family, id}), do: {:remove_key, Keys.type(family), id}
  defp remedy(:manifest), do: :rebuild_manifest
  defp remedy({:journal, commits, trusted, bytes}), do: {:apply_journal, commits, trusted, bytes}
  defp remedy(:none), do: :none

  defp time(ms), do: DateTime.from_unix!(ms, :millisecond)

  defp cost({:keep_document, _kept, _dropped}, _modified), do: "nothing: the document is whole"

  defp cost({:take, _file, taken, _others}, modified) do
    "what was saved in the credentials since #{DateTime.to_iso8601(taken)}" <>
      age(taken, modified)
  end

  defp cost({:remove_key, type, _id}, _modified), do: cost_of(type)

  defp cost(:rebuild_manifest, _modified) do
    "ids that file names do not tell, which only a custom family or an unusual id has"
  end

  defp cost({:apply_journal, commits, trusted, bytes}, _modified) do
    "what was committed after the first #{Numbers.count(commits, "commit")}: " <>
      "#{Numbers.count(bytes - trusted, "byte")} cannot be trusted"
  end

  defp cost(:none, _modified) do
    "the account, unless there is a backup: restore it, or pair again"
  end

  defp age(_taken, nil), do: ""

  defp age(taken, modified) do
    case DateTime.diff(modified, taken) do
      seconds when seconds > 0 ->
        ", #{Numbers.count(seconds, "second")} before the damaged file was written"

      _not_older ->
        ", which is not older than the damaged file"
    end
  end

  defp cost_of(:session),
    do: "the session with one device, which is negotiated anew; messages on the way are lost"

  defp cost_of(:"pre-key"), do: "a first message that was sent with this pre-key"

  defp cost_of(:"sender-key"),
    do: "messages of one sender in one group, until he sends his key again"

  defp cost_of(:"sender-key-memory"), do: "nothing: our group key is sent to the group once more"

  defp cost_of(:"app-state-sync-key"),
    do: "app state (chats, settings) of this key, until the phone shares it again"

  defp cost_of(:"app-state-sync-version"), do: "nothing: this app state is synchronised anew"
  defp cost_of(:"lid-mapping"), do: "nothing: the mapping is asked for again"
  defp cost_of(:"device-list"), do: "nothing: the list of devices is asked for again"
  defp cost_of(:tctoken), do: "a token for one contact, which is asked for again"

  defp cost_of(:"identity-key"),
    do: "the memory of one contact's identity: a change would not be noticed"

  defp cost_of(_other), do: "this key"
end
