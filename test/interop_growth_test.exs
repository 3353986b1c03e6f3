defmodule BaileysEx.InteropGrowthTest do
  # Compares guides/growth.md with Baileys itself: its behaviour with keys if that can be tried without a
  # server, and otherwise the existence of the code that the guide names.
  use ExUnit.Case, async: true

  alias BaileysEx.Test.Baileys

  import BaileysEx.Auth.TempDir

  @moduletag :interop
  @moduletag timeout: 180_000

  with {:error, reason} <- Baileys.available() do
    IO.puts(:stderr, "NOT RUN, the guide on growth against the real Baileys: #{reason}")
    @moduletag skip: reason
  end

  @root Path.expand("..", __DIR__)
  @packages Path.join(@root, "test/interop/node_modules")
  @versions %{"6.7.21" => "baileys-6", "7.0.0-rc14" => "baileys-7"}

  @both %{
    "lib/Utils/signal.js" => ~w(getNextPreKeys),
    "lib/Socket/socket.js" => ~w(uploadPreKeys uploadPreKeysToServerIfRequired),
    "lib/Socket/messages-recv.js" =>
      ~w(sendRetryRequest sendMessagesAgain handleEncryptNotification maxMsgRetryCount handleBadAck),
    "lib/Socket/messages-send.js" => ~w(relayMessage getUSyncDevices),
    "lib/Signal/libsignal.js" => ~w(removePreKey storeSession storeSenderKey),
    "lib/Utils/process-message.js" => ~w(APP_STATE_SYNC_KEY_SHARE),
    "lib/Utils/chat-utils.js" => ["failed to find key"],
    "lib/Socket/chats.js" => ~w(resyncAppState)
  }
  @seven %{
    "lib/Signal/libsignal.js" => ~w(saveIdentity migrateSession resolveLIDSignalAddress),
    "lib/Signal/lid-mapping.js" => ~w(storeLIDPNMappings getLIDsForPNs getPNsForLIDs),
    "lib/Socket/messages-recv.js" => ~w(handleDevicesNotification pruneExpiredTcTokens),
    "lib/Utils/tc-token-utils.js" => ~w(storeTcTokensFromIqResult)
  }
  @libsignal %{
    "src/session_cipher.js" => ~w(decryptPreKeyWhisperMessage decryptWhisperMessage),
    "src/session_builder.js" => ["initIncoming", "Invalid PreKey ID"],
    "src/session_record.js" => ~w(removeOldSessions CLOSED_SESSIONS_MAX)
  }

  setup_all do
    Baileys.install()
    {:ok, guide: File.read!(Path.join(@root, "guides/growth.md"))}
  end

  setup :setup_temp_dir

  for {version, package} <- @versions do
    test "Baileys #{version} treats keys as the guide says", %{tmp: tmp} do
      facts = Baileys.run("growth.mjs", [unquote(version), tmp])

      assert %{
               "made" => [1, 2, 3, 4, 5],
               "nextPreKeyId" => 6,
               # They count as handed out as soon as they are made.
               "firstUnuploadedPreKeyId" => 6,
               "afterFirst" => [1, 2, 4, 5],
               "afterSecond" => [1, 2, 4, 5],
               "withoutPreKey" => "Invalid PreKey ID"
             } = facts["preKeys"]

      assert facts["sessions"]["withoutSession"] == "No session record"
      assert %{"afterOwnWasRemoved" => "" <> _, "withoutTheirs" => "" <> _} = facts["senderKeys"]

      if unquote(version) == "7.0.0-rc14" do
        assert facts["mappings"] ==
                 %{"stored" => 2, "number" => nil, "askedForNumber" => 0, "askedForLid" => 1}

        assert %{"withoutList" => 0, "withList" => 1, "left" => ["900000000066_1.0"]} =
                 facts["deviceLists"]
      end
    end

    test "Baileys #{version} has the code that the guide names", %{guide: guide} do
      named =
        if unquote(version) == "7.0.0-rc14",
          do: Map.merge(@both, @seven, fn _file, some, more -> some ++ more end),
          else: @both

      for {file, names} <- named, name <- names do
        assert File.read!(Path.join([@packages, unquote(package), file])) =~ name, file
        assert guide =~ name or name == "CLOSED_SESSIONS_MAX", name
        assert guide =~ file
      end

      numbers = File.read!(Path.join([@packages, unquote(package), "lib/Defaults/index.js"]))
      made = if unquote(version) == "6.7.21", do: 30, else: 812
      assert numbers =~ ~r/MIN_PREKEY_COUNT = 5;\n.*INITIAL_PREKEY_COUNT = #{made};/
      assert numbers =~ "maxMsgRetryCount: 5,"
    end
  end

  test "libsignal has the code that the guide names, which names no other file", %{guide: guide} do
    for {file, names} <- @libsignal, name <- names do
      assert File.read!(Path.join([@packages, "libsignal", file])) =~ name, file
    end

    record = File.read!(Path.join(@packages, "libsignal/src/session_record.js"))
    assert record =~ "CLOSED_SESSIONS_MAX = 40;"
    known = Map.keys(@both) ++ Map.keys(@seven) ++ Map.keys(@libsignal)
    files = for [file] <- Regex.scan(~r/\b(?:lib|src)\/[\w\/-]+\.js/, guide), do: file
    assert files != []
    assert Enum.uniq(files) -- known == []
  end

  # Each deletion in Baileys' code is `{type: {[id]: null}}`, except for those that collect their changes
  # first.
  test "no version deletes keys elsewhere than the guide says" do
    assert deletions("baileys-6") == %{
             "pre-key" => ["lib/Signal/libsignal.js"],
             "sender-key-memory" => ["lib/Socket/messages-recv.js"],
             "app-state-sync-version" => ["lib/Socket/chats.js"]
           }

    assert deletions("baileys-7") == %{
             "pre-key" => ["lib/Signal/libsignal.js"],
             "sender-key-memory" => ["lib/Socket/messages-recv.js"],
             "session" => ["lib/Signal/libsignal.js", "lib/Socket/messages-recv.js"]
           }

    # Changes collected first: `deleteSession`, `migrateSession`, and expired tokens.
    assert collected("baileys-6") == []

    assert collected("baileys-7") == [
             {"lib/Signal/libsignal.js", "sessionUpdates"},
             {"lib/Socket/messages-recv.js", "writes"}
           ]
  end

  defp deletions(package) do
    for {file, code} <- sources(package),
        [_, type] <- Regex.scan(~r/'?([a-z-]+)'?: \{ \[\w+\]: null \}/, code),
        reduce: %{} do
      found -> Map.update(found, type, [file], &Enum.uniq(&1 ++ [file]))
    end
  end

  defp collected(package) do
    for {file, code} <- sources(package),
        [_, name] <- Regex.scan(~r/\b(\w+)\[[\w.]+(?:\(\))?\] = null;/, code),
        file =~ ~r/Signal|Socket/,
        uniq: true,
        do: {file, name}
  end

  defp sources(package) do
    root = Path.join(@packages, package)

    for path <- Enum.sort(Path.wildcard(Path.join(root, "lib/**/*.js"))) do
      {Path.relative_to(path, root), File.read!(path)}
    end
  end
end
