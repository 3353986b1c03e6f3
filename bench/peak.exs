# Migrates a JSON directory in this VM, fresh, and prints by how many kilobytes its memory grew over
# what it was when the first step was done: by then the directory is listed. Linux only.

alias BaileysEx.Auth.PersistenceMigration

[source, target] = System.argv()

status = fn field ->
  [_, kilobytes] = Regex.run(~r/#{field}:\s+(\d+) kB/, File.read!("/proc/self/status"))
  String.to_integer(kilobytes)
end

{:ok, _} =
  PersistenceMigration.migrate_compat_json_to_native(source, target,
    on_progress: fn
      %{done: done} when done <= 256 ->
        # 5 resets the high-water mark.
        File.write!("/proc/self/clear_refs", "5")
        Process.put(:listed, status.("VmRSS"))

      _later ->
        :ok
    end
  )

IO.puts(max(status.("VmHWM") - Process.get(:listed), 0))
