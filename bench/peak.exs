# Migrates a JSON directory in this fresh VM, and prints two numbers: the maximum growth of its memory in
# kilobytes over its size after the first step, when the directory is listed, and over its size before. Linux
# only.

alias BaileysEx.Auth.PersistenceMigration

[source, target] = System.argv()

status = fn field ->
  [_, kilobytes] = Regex.run(~r/#{field}:\s+(\d+) kB/, File.read!("/proc/self/status"))
  String.to_integer(kilobytes)
end

# 5 sets the peak back to what is in use.
reset_peak = fn -> File.write!("/proc/self/clear_refs", "5") end

idle = status.("VmRSS")
reset_peak.()

{:ok, _} =
  PersistenceMigration.migrate_compat_json_to_native(source, target,
    on_progress: fn
      %{done: done} when done <= 256 ->
        Process.put(:first_peak, status.("VmHWM"))
        reset_peak.()
        Process.put(:listed, status.("VmRSS"))

      _later ->
        :ok
    end
  )

peak = status.("VmHWM")
over_all = max(peak, Process.get(:first_peak)) - idle
IO.puts("#{max(peak - Process.get(:listed), 0)} #{max(over_all, 0)}")
