defmodule BaileysEx.Test.PendingMessages do
  @moduledoc """
  The fixture `pending.json`: messages to the fixture account that Baileys had not read yet. If they can be
  read, sessions and sender keys were migrated completely.

  A loader is `(type, id) -> term`, such as

      fn type, id -> with {:ok, term} <- FilePersistence.load_keys(path, type, id), do: term end
  """

  alias BaileysEx.Test.JSON
  alias BaileysEx.Test.SignalCipher

  @path Path.expand("../fixtures/pending.json", __DIR__)

  @type loader() :: (atom(), String.t() -> term())
  @type message() :: %{
          type: :session | :"sender-key",
          id: String.t(),
          message: binary(),
          text: String.t()
        }

  @doc "Returns the direct messages, in the order in which they were sent."
  @spec direct() :: [message()]
  def direct do
    for entry <- section("direct") do
      message(:session, user(entry["jid"]) <> ".0", entry)
    end
  end

  @doc "Returns the group messages, in the order in which they were sent."
  @spec group() :: [message()]
  def group do
    for entry <- section("group") do
      message(:"sender-key", "#{entry["group"]}::#{user(entry["author"])}::0", entry)
    end
  end

  @doc "Returns the first message of the session that was never answered."
  @spec to_q() :: binary()
  def to_q do
    [%{"msg" => message}] = section("toQ")
    Base.decode64!(message)
  end

  @doc """
  Reads messages in this order, each with the record that the previous one left, and returns those that were
  unreadable or read incorrectly, with the reason.
  """
  @spec unread([message()], loader()) :: [{String.t(), term()}]
  def unread(messages, loader) do
    {failures, _records} =
      Enum.reduce(messages, {[], %{}}, fn message, {failures, records} ->
        key = {message.type, message.id}
        record = Map.get_lazy(records, key, fn -> loader.(message.type, message.id) end)

        case read(message, record) do
          {:ok, record} -> {failures, Map.put(records, key, record)}
          {:error, reason} -> {[{message.text, reason} | failures], Map.put(records, key, record)}
        end
      end)

    Enum.reverse(failures)
  end

  defp read(%{type: type, message: message, text: text}, record) do
    result =
      case type do
        :session -> SignalCipher.decrypt_direct(record, message)
        :"sender-key" -> SignalCipher.decrypt_group(record, message)
      end

    case result do
      {:ok, ^text, record} -> {:ok, record}
      {:ok, _other, _record} -> {:error, :wrong_text}
      {:error, reason} -> {:error, reason}
    end
  end

  defp message(type, id, entry) do
    %{type: type, id: id, message: Base.decode64!(entry["msg"]), text: entry["text"]}
  end

  defp user(jid), do: jid |> String.split("@") |> hd()

  defp section(name) do
    JSON.decode!(File.read!(@path))[name]
  end
end
