defmodule BaileysEx.Test.ManyAccounts do
  @moduledoc """
  500 accounts under one directory, ten of which have ten different problems, beside entries that are not
  accounts.
  """

  alias BaileysEx.Auth.{Fixtures, NativeFilePersistence, State}

  @accounts 500
  @problems 10

  @doc "Creates them in `tmp`. Returns the directory, and the names of those without a problem and of those with one."
  @spec make!(Path.t()) :: %{root: Path.t(), sound: [String.t()], problems: [String.t()]}
  def make!(tmp) do
    root = Path.join(tmp, "accounts")
    File.mkdir_p!(root)

    json = Fixtures.copy!(:baileys, tmp)
    native = Path.join(tmp, "template")
    :ok = NativeFilePersistence.save_credentials(native, State.new())
    keys = Map.new(1..4, &{"#{&1}", "#{&1}"})
    :ok = NativeFilePersistence.commit_keys(native, %{"lid-mapping": keys})
    :ok = NativeFilePersistence.checkpoint(native)

    sound = for n <- 1..(@accounts - @problems), do: "account-#{n}"
    script = ~s(for name in "$@"; do cp -r "$0" "$name"; done)
    {"", 0} = System.cmd("sh", ["-c", script, native | Enum.map(sound, &Path.join(root, &1))])

    problems =
      for {name, {form, spoil}} <- problems() do
        path = Path.join(root, name)
        File.cp_r!(if(form == :json, do: json, else: native), path)
        spoil.(path)
        name
      end

    # Entries that are not accounts.
    File.mkdir_p!(Path.join(root, "empty"))
    File.mkdir_p!(Path.join(root, ".hidden"))
    File.write!(Path.join(root, "notes.txt"), "")
    %{root: root, sound: sound, problems: Enum.sort(problems)}
  end

  defp problems do
    at = &Path.join/2

    %{
      "bad-creds-etf" => {:native, &File.write!(at.(&1, "creds.etf"), "")},
      "bad-creds-json" => {:json, &File.write!(at.(&1, "creds.json"), "{")},
      "bad-key" => {:native, &File.write!(at.(&1, "lid-mapping-1.etf"), <<0::800>>)},
      "cut-key" => {:json, &File.write!(at.(&1, "pre-key-5.json"), ~s({"private":))},
      "dir-as-key" => {:native, &File.mkdir!(at.(&1, "lid-mapping-77.etf"))},
      "link-as-key" => {:json, &File.ln_s!("/etc/hostname", at.(&1, "pre-key-77.json"))},
      "no-creds" => {:native, &File.rm!(at.(&1, "creds.etf"))},
      "of-both-kinds" => {:json, &File.write!(at.(&1, "creds.etf"), "")},
      "from-the-future" =>
        {:json,
         &File.write!(
           at.(&1, ".baileys_ex_file_persistence.json"),
           ~s({"backend":"file_persistence","version":99})
         )},
      "bad-journal" => {:native, &File.write!(at.(&1, ".baileys_ex.journal"), <<7::4096>>)}
    }
  end
end
