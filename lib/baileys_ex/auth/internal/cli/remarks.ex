defmodule BaileysEx.Auth.CLI.Remarks do
  @moduledoc false
  # What `inspect --all` finds that is not a problem of an account, but worth a look.

  alias BaileysEx.Auth.CLI.{All, Growing, Terminal}
  alias BaileysEx.Auth.Inspection
  alias BaileysEx.Auth.Inspection.Recognition

  @type t() :: %{
          growing: [map()],
          same_device: [%{account: String.t(), names: [String.t(), ...]}],
          without_account: [String.t()]
        }

  @spec find(Path.t(), [Inspection.account()]) :: t()
  def find(root, found) do
    %{
      growing: growing(found),
      same_device: same_device(found),
      without_account: without_account(root, found)
    }
  end

  @spec text(t(), Terminal.t()) :: iodata()
  def text(remarks, terminal) do
    [
      All.problems(
        terminal,
        Growing.title(),
        for(warning <- remarks.growing, do: {warning.name, Growing.text(warning)})
      ),
      All.problems(
        terminal,
        "in several directories: only one of them may be used",
        for(%{account: id, names: names} <- remarks.same_device, do: {id, Enum.join(names, ", ")})
      ),
      All.problems(
        terminal,
        "directories without an account",
        for(name <- remarks.without_account, do: {name, "holds no credentials and no keys"})
      )
    ]
  end

  # Sorted by number of keys. An account may occur once for each type.
  defp growing(found) do
    for %{name: name, path: path, result: {:ok, report}} <- found, warning <- report.growing do
      Map.merge(%{name: name, path: path}, warning)
    end
    |> Enum.sort_by(&(-&1.keys))
  end

  # A copy, such as an old backup. If both run, WhatsApp sees one device, and they break each other's
  # sessions.
  defp same_device(found) do
    by_device =
      Enum.group_by(
        for(
          %{name: name, result: {:ok, %{account: %{id: id}}}} when id != nil <- found,
          do: {id, name}
        ),
        &elem(&1, 0),
        &elem(&1, 1)
      )

    for {id, [_, _ | _] = names} <- Enum.sort(by_device), do: %{account: id, names: names}
  end

  # The whole account is gone, or the volume at this place is not mounted.
  defp without_account(root, found) do
    with {:ok, names} <- File.ls(root) do
      known = MapSet.new(found, & &1.name)

      for name <- Enum.sort(names),
          Recognition.place_of_account?(name) and name not in known and
            File.dir?(Path.join(root, name)),
          do: Terminal.safe_line(name)
    else
      {:error, _posix} -> []
    end
  end
end
