defmodule BaileysEx.Auth.Postgres.Statements do
  @moduledoc false
  # Every statement of the backend. Each is one round trip; what they are given is in parameters.
  #
  # `$1` is the account and, in a write, `$2` the id of this VM's claim, NULL where it has none.

  @doc """
  All of a commit, or nothing. The account's row is locked against a claim: one that is being made
  is waited for, and then the row is looked at anew. Without a row in `held` nothing else has one.
  """
  def commit(prefix) do
    """
    WITH held AS MATERIALIZED (
      SELECT account FROM "#{prefix}".baileys_auth_accounts
      WHERE account = $1::text AND ($2::text IS NULL OR owner_id = $2::text)
      FOR SHARE
    ), saved AS (
      INSERT INTO "#{prefix}".baileys_auth_keys (account, type, id, value)
      SELECT held.account, new.type, new.id, new.value
      FROM held CROSS JOIN unnest($3::text[], $4::text[], $5::bytea[]) AS new (type, id, value)
      ON CONFLICT (account, type, id) DO UPDATE SET value = excluded.value
      RETURNING 1
    ), deleted AS (
      DELETE FROM "#{prefix}".baileys_auth_keys AS old
      USING held CROSS JOIN unnest($6::text[], $7::text[]) AS gone (type, id)
      WHERE old.account = held.account AND old.type = gone.type AND old.id = gone.id
      RETURNING 1
    )
    SELECT (SELECT count(*) FROM held), (SELECT count(*) FROM saved), (SELECT count(*) FROM deleted)
    """
  end

  def add_account(prefix) do
    """
    INSERT INTO "#{prefix}".baileys_auth_accounts (account) VALUES ($1::text) ON CONFLICT DO NOTHING
    """
  end

  @doc "Credentials of whoever has no claim."
  def put_creds(prefix) do
    """
    INSERT INTO "#{prefix}".baileys_auth_accounts (account, creds) VALUES ($1::text, $2::bytea)
    ON CONFLICT (account) DO UPDATE SET creds = excluded.creds
    RETURNING owner_counter
    """
  end

  @doc "Credentials under a claim."
  def put_owned_creds(prefix) do
    """
    UPDATE "#{prefix}".baileys_auth_accounts SET creds = $3::bytea
    WHERE account = $1::text AND owner_id = $2::text
    RETURNING owner_counter
    """
  end

  def creds(prefix) do
    ~s(SELECT creds FROM "#{prefix}".baileys_auth_accounts WHERE account = $1::text)
  end

  def values(prefix) do
    """
    SELECT id, value FROM "#{prefix}".baileys_auth_keys
    WHERE account = $1::text AND type = $2::text AND id = ANY ($3::text[])
    """
  end

  def keys(prefix) do
    ~s(SELECT type, id FROM "#{prefix}".baileys_auth_keys WHERE account = $1::text)
  end

  @doc "The next `$4` keys after the type `$2` and id `$3`."
  def page(prefix) do
    """
    SELECT type, id, value FROM "#{prefix}".baileys_auth_keys
    WHERE account = $1::text AND (type, id) > ($2::text, $3::text)
    ORDER BY type, id LIMIT $4::bigint
    """
  end

  def count(prefix) do
    ~s[SELECT count(*) FROM "#{prefix}".baileys_auth_keys WHERE account = $1::text]
  end

  @doc "The newest claim wins. Made twice, as after a lost answer, it is one claim."
  def claim(prefix) do
    """
    INSERT INTO "#{prefix}".baileys_auth_accounts AS held
      (account, owner_id, owner_counter, owner_node, owner_os_process, owner_host, owner_since_ms)
    VALUES ($1::text, $2::text, 1, $3::text, $4::text, $5::text, $6::bigint)
    ON CONFLICT (account) DO UPDATE SET
      owner_id = excluded.owner_id,
      owner_counter = held.owner_counter
        + CASE WHEN held.owner_id = excluded.owner_id THEN 0 ELSE 1 END,
      owner_node = excluded.owner_node,
      owner_os_process = excluded.owner_os_process,
      owner_host = excluded.owner_host,
      owner_since_ms = excluded.owner_since_ms
    RETURNING owner_counter
    """
  end

  @doc "The counter stays, so that the next claim has a higher one."
  def release(prefix) do
    """
    UPDATE "#{prefix}".baileys_auth_accounts SET owner_id = NULL
    WHERE account = $1::text AND owner_id = $2::text
    RETURNING owner_counter
    """
  end

  def owner(prefix) do
    """
    SELECT owner_id, owner_counter, owner_node, owner_os_process, owner_host, owner_since_ms
    FROM "#{prefix}".baileys_auth_accounts WHERE account = $1::text
    """
  end
end
