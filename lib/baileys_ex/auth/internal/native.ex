defmodule BaileysEx.Auth.Native do
  @moduledoc false
  # Only the stubs of the NIF. `native/auth_nif` documents their arguments and results, and
  # `BaileysEx.Auth.NativeError` their errors.

  @on_load :load

  def load do
    :baileys_ex_auth
    |> Application.app_dir("priv/native/baileys_ex_auth_nif")
    |> String.to_charlist()
    |> :erlang.load_nif(0)
  end

  # Curve25519 (native/auth_nif/src/curve.rs)
  def curve_generate_key_pair, do: stub()
  def curve_public_key(_private), do: stub()
  def curve_shared_secret(_private, _public), do: stub()
  def curve_sign(_private, _message), do: stub()
  def curve_verify(_public, _message, _signature), do: stub()

  # The directory that a path leads to (native/auth_nif/src/stores.rs)
  def directory_known_path(_path), do: stub()
  def directory_real_path(_path), do: stub()
  def stores_due(_idle_ms), do: stub()

  # The disk space and the owner of a directory (native/auth_nif/src/directory.rs)
  def directory_disk_use(_path), do: stub()
  def directory_holds_others(_path), do: stub()

  # Whole directories (native/auth_nif/src/directory.rs)
  def store_open(_path, _format), do: stub()
  def store_recover(_path, _format), do: stub()
  def store_checkpoint(_path, _format), do: stub()
  def store_tidy(_path, _format), do: stub()
  def store_claim(_path, _format, _owner), do: stub()
  def store_release(_path, _format, _id), do: stub()
  def store_owner(_path, _format), do: stub()
  def store_changes(_path, _format), do: stub()
  def store_snapshot(_path, _format, _target), do: stub()
  def store_restore(_path, _format, _target, _aside), do: stub()
  def store_same(_path, _format, _other), do: stub()
  def store_journal(_path, _format), do: stub()
  def creds_peek(_path, _format), do: stub()
  def layout_kinds(_names, _format), do: stub()
  def store_list(_path, _format), do: stub()

  # Keys of a directory (native/auth_nif/src/json.rs and etf.rs)
  def json_load(_path, _family, _id), do: stub()
  def json_commit(_path, _by, _changes), do: stub()
  def etf_load(_path, _family, _id), do: stub()
  def etf_scan_all(_binaries), do: stub()
  def etf_check(_member, _binary), do: stub()
  def etf_check_all(_members), do: stub()
  def etf_commit(_path, _by, _changes), do: stub()

  # Baileys' JSON without a directory (native/auth_nif/src/codec.rs)
  def codec_decode(_family, _text, _identity), do: stub()
  def codec_encode(_family, _term, _identity, _sender_keys, _lists), do: stub()
  def codec_kept(_lines), do: stub()
  def codec_import(_values, _identity), do: stub()
  def codec_export(_rows, _identity, _sender_keys, _lists), do: stub()

  # Whole directories, in steps (native/auth_nif/src/migration.rs)
  def migration_begin(_source, _target, _from, _flags, _json), do: stub()
  def migration_step(_migration, _files), do: stub()
  def migration_publish(_migration), do: stub()
  def migration_abort(_migration), do: stub()
  def survey_begin(_path, _format), do: stub()
  def survey_step(_survey, _files), do: stub()
  def survey_finish(_survey), do: stub()

  # Repairs of a damaged directory (native/auth_nif/src/repair.rs)
  def repair_plan(_path, _format), do: stub()
  def repair_apply(_path, _format, _aside), do: stub()

  # The operating system process (native/auth_nif/src/process.rs)
  def process_end_by_signals(_ends), do: stub()
  def process_user, do: stub()

  # Between a directory and a store of another kind, in steps (native/auth_nif/src/rows.rs)
  def outgoing_begin(_source, _from, _flags), do: stub()
  def outgoing_step(_outgoing, _files), do: stub()
  def outgoing_finish(_outgoing), do: stub()
  def outgoing_abort(_outgoing), do: stub()
  def incoming_begin(_target, _to, _flags, _json, _carried), do: stub()
  def incoming_put(_incoming, _rows), do: stub()
  def incoming_publish(_incoming), do: stub()
  def incoming_abort(_incoming), do: stub()
  def rows_check(_rows), do: stub()
  def rows_last_use(_sessions), do: stub()

  defp stub, do: :erlang.nif_error(:nif_not_loaded)
end
