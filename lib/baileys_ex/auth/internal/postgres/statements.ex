defmodule BaileysEx.Auth.Postgres.Statements do
  @moduledoc false
  # Every statement of the backend. Each is one round trip, and takes its values as parameters.
  #
  # `$1` is the account. In a write, `$2` is the id of this VM's claim, or NULL without one, and `$3` the
  # number of answers that were lost under it: see `BaileysEx.Auth.Postgres.Claim`.

  @doc "Returns rows as parameters: one list for each of the first columns."
  @spec columns([tuple()], pos_integer()) :: [[term()]]
  def columns(rows, count), do: for(at <- 0..(count - 1), do: Enum.map(rows, &elem(&1, at)))

  @doc """
  A store's commit, all or nothing. `$4` is the number of changes that the store knows of, or NULL. The row of
  the account is locked against claims: if a claim is in progress, the statement waits for it and checks the
  row again.
  """
  def commit(prefix, deletes?) do
    commit(prefix, deletes?, """
      SELECT account, changes FROM "#{prefix}".baileys_auth_accounts
      WHERE account = $1::text AND owner_id = $2::text AND owner_fence = $3::bigint
        AND ($4::bigint IS NULL OR changes = $4::bigint)
      FOR SHARE
    """)
  end

  @doc "A commit by anybody else in a VM with a claim. It is counted, so that stores notice it."
  def commit_counted(prefix, deletes?) do
    commit(prefix, deletes?, """
      UPDATE "#{prefix}".baileys_auth_accounts SET changes = changes + 1
      WHERE account = $1::text AND owner_id = $2::text AND owner_fence = $3::bigint
        AND $4::bigint IS NULL
      RETURNING account, changes
    """)
  end

  @doc "A commit without a claim, even if the account has no row yet."
  def commit_free(prefix, deletes?) do
    commit(prefix, deletes?, """
      INSERT INTO "#{prefix}".baileys_auth_accounts AS held (account, changes)
      SELECT $1::text, 1 WHERE $2::text IS NULL AND $3::bigint IS NULL AND $4::bigint IS NULL
      ON CONFLICT (account) DO UPDATE SET changes = held.changes + 1
      RETURNING account, changes
    """)
  end

  # If `held` has no row, nothing is written and no row is returned. No driver has to pass a NULL number. Most
  # commits delete nothing, and without a part for deletions the server is a quarter faster.
  defp commit(prefix, deletes?, held) do
    """
    WITH held AS (
    #{held}
    ), saved AS (
      INSERT INTO "#{prefix}".baileys_auth_keys (account, type, id, value)
      SELECT held.account, new.type, new.id, new.value
      FROM held CROSS JOIN unnest($5::text[], $6::text[], $7::bytea[]) AS new (type, id, value)
      ON CONFLICT (account, type, id) DO UPDATE SET value = excluded.value
    )#{if deletes?, do: deleted(prefix)}
    SELECT changes FROM held
    """
  end

  defp deleted(prefix) do
    """
    , deleted AS (
      DELETE FROM "#{prefix}".baileys_auth_keys AS old
      USING held CROSS JOIN unnest($8::text[], $9::text[]) AS gone (type, id)
      WHERE old.account = held.account AND old.type = gone.type AND old.id = gone.id
    )
    """
  end

  @doc "Saves credentials without a claim."
  def put_creds(prefix) do
    """
    INSERT INTO "#{prefix}".baileys_auth_accounts (account, creds) VALUES ($1::text, $2::bytea)
    ON CONFLICT (account) DO UPDATE SET creds = excluded.creds
    RETURNING owner_counter
    """
  end

  @doc "Saves credentials under a claim."
  def put_owned_creds(prefix) do
    """
    UPDATE "#{prefix}".baileys_auth_accounts SET creds = $4::bytea
    WHERE account = $1::text AND owner_id = $2::text AND owner_fence = $3::bigint
    RETURNING owner_counter
    """
  end

  @doc """
  Replaces a whole account, under a claim that ends with this statement. `$4` is the number of changes at the
  time of the claim. The new keys are `$10` staged ones, none of which may be missing, and those in the
  arrays. Keys that stay are updated, because one statement cannot both delete a row and insert it.

  The keys to delete are not found with a join. The server cannot know how many keys are staged. If it
  expected few, it would compare each old key with each new one. This form makes it hash the arrays and look
  up the staged keys in the index.
  """
  def replace(prefix) do
    """
    WITH staging AS (
      SELECT account FROM "#{prefix}".baileys_auth_accounts
      WHERE account = #{staging()} AND owner_id = $2::text
      FOR SHARE
    ), held AS (
      UPDATE "#{prefix}".baileys_auth_accounts
      SET creds = $5::bytea, sender_keys = $6::text, changes = changes + 1, owner_id = NULL
      WHERE account = $1::text AND owner_id = $2::text AND owner_fence = $3::bigint
        AND changes = $4::bigint
        AND $10::bigint = (
          SELECT count(*) FROM "#{prefix}".baileys_auth_keys JOIN staging USING (account)
        )
      RETURNING account
    ), deleted AS (
      DELETE FROM "#{prefix}".baileys_auth_keys AS old USING held
      WHERE old.account = held.account AND old.account = $1::text
        AND (old.type, old.id) NOT IN (
          SELECT type, id FROM unnest($7::text[], $8::text[]) AS last (type, id)
        )
        AND 0 = (
          SELECT count(*) FROM "#{prefix}".baileys_auth_keys AS new JOIN staging USING (account)
          WHERE new.type = old.type AND new.id = old.id
        )
      RETURNING 1
    ), saved AS (
      INSERT INTO "#{prefix}".baileys_auth_keys (account, type, id, value)
      SELECT held.account, new.type, new.id, new.value
      FROM held CROSS JOIN (
        SELECT type, id, value
        FROM unnest($7::text[], $8::text[], $9::bytea[]) AS last (type, id, value)
        UNION ALL
        SELECT type, id, value FROM "#{prefix}".baileys_auth_keys JOIN staging USING (account)
      ) AS new
      ON CONFLICT (account, type, id) DO UPDATE SET value = excluded.value
      RETURNING 1
    ), #{swept(prefix)}
    SELECT (SELECT count(*) FROM held)
    """
  end

  @doc """
  Gives the staging of the account `$1` to the migration `$2` and to no other.
  """
  def stage(prefix) do
    """
    INSERT INTO "#{prefix}".baileys_auth_accounts (account, owner_id)
    VALUES (#{staging()}, $2::text)
    ON CONFLICT (account) DO UPDATE SET owner_id = excluded.owner_id
    RETURNING owner_counter
    """
  end

  @doc "Deletes what another migration has staged, which is visible once that migration has lost the staging."
  def clear_staging(prefix) do
    """
    DELETE FROM "#{prefix}".baileys_auth_keys AS staged
    USING "#{prefix}".baileys_auth_accounts AS staging
    WHERE staging.account = #{staging()} AND staging.owner_id = $2::text
      AND staged.account = staging.account
    """
  end

  @doc "Ends a migration without publishing it."
  def discard_staging(prefix) do
    """
    WITH dropped AS (
      DELETE FROM "#{prefix}".baileys_auth_accounts
      WHERE account = #{staging()} AND owner_id = $2::text
      RETURNING account
    ), swept AS (
      DELETE FROM "#{prefix}".baileys_auth_keys AS staged USING dropped
      WHERE staged.account = dropped.account
      RETURNING 1
    )
    SELECT (SELECT count(*) FROM dropped)
    """
  end

  # The name is that of `BaileysEx.Auth.Postgres.Account`.
  defp staging, do: "(chr(1) || $1::text)"

  defp swept(prefix) do
    """
    swept AS (
      DELETE FROM "#{prefix}".baileys_auth_keys AS staged USING held
      WHERE staged.account = chr(1) || held.account
      RETURNING 1
    ), dropped AS (
      DELETE FROM "#{prefix}".baileys_auth_accounts AS staging USING held
      WHERE staging.account = chr(1) || held.account
      RETURNING 1
    )
    """
  end

  @doc "Deletes a whole account, under a claim. The row of the account stays, for the next claim."
  def delete(prefix) do
    """
    WITH held AS (
      UPDATE "#{prefix}".baileys_auth_accounts
      SET creds = NULL, sender_keys = NULL, changes = changes + 1
      WHERE account = $1::text AND owner_id = $2::text AND owner_fence = $3::bigint
      RETURNING account
    ), deleted AS (
      DELETE FROM "#{prefix}".baileys_auth_keys AS old USING held
      WHERE old.account = held.account
      RETURNING 1
    ), #{swept(prefix)}
    SELECT (SELECT count(*) FROM held)
    """
  end

  @doc "Returns whether there are credentials, and whether there is a key: 0 or 1 for each."
  def occupied(prefix) do
    """
    SELECT
      (SELECT count(*) FROM "#{prefix}".baileys_auth_accounts
       WHERE account = $1::text AND creds IS NOT NULL),
      (SELECT count(*) FROM (
        SELECT 1 FROM "#{prefix}".baileys_auth_keys WHERE account = $1::text LIMIT 1
      ) AS one)
    """
  end

  @doc """
  Returns the credentials, in a row without an id, and the first page of keys, all as of one moment. The
  parameters are those of `page/1`.
  """
  def first_page(prefix) do
    """
    SELECT 'creds' AS type, NULL::text AS id, creds AS value, sender_keys, 0 AS number
    FROM "#{prefix}".baileys_auth_accounts WHERE account = $1::text
    UNION ALL
    SELECT type, id, value, NULL::text, number FROM (#{numbered_page(prefix)}) AS page
    ORDER BY number
    """
  end

  @doc "Returns the next `$4` keys after the type `$2` and id `$3`, up to the one that fills `$5` bytes."
  def page(prefix) do
    "SELECT type, id, value FROM (#{numbered_page(prefix)}) AS page ORDER BY number"
  end

  defp numbered_page(prefix) do
    """
    SELECT type, id, value, number FROM (
      SELECT type, id, value, row_number() OVER (ORDER BY type, id) AS number,
        sum(octet_length(value)) OVER (ORDER BY type, id) - octet_length(value) AS bytes_before
      FROM (
        SELECT type, id, value FROM "#{prefix}".baileys_auth_keys
        WHERE account = $1::text AND (type, id) > ($2::text, $3::text)
        ORDER BY type, id LIMIT $4::bigint
      ) AS next
    ) AS measured
    WHERE bytes_before < $5::bigint
    """
  end

  @doc """
  Returns the credentials, and a digest of all keys in the order of pages, as of one moment. Every server has
  MD5, and the digest need not resist forgery here.
  """
  def digest(prefix) do
    """
    SELECT
      (SELECT creds FROM "#{prefix}".baileys_auth_accounts WHERE account = $1::text),
      (SELECT md5(string_agg(
        md5(md5(convert_to(type, 'UTF8')) || md5(convert_to(id, 'UTF8')) || md5(value)), ''
        ORDER BY type, id
      )) FROM "#{prefix}".baileys_auth_keys WHERE account = $1::text)
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

  @doc "Lists the keys. Contents of files of unknown families have no type: they are preserved, but are not keys."
  def keys(prefix) do
    """
    SELECT type, id FROM "#{prefix}".baileys_auth_keys WHERE account = $1::text AND type <> ''
    """
  end

  def count(prefix) do
    ~s[SELECT count(*) FROM "#{prefix}".baileys_auth_keys WHERE account = $1::text]
  end

  @doc """
  Claims after the claim with the counter `$7`, which is 0 for none. If it runs twice, for example after a
  lost answer, it is still one claim. If it arrives late, after another claim, it does nothing.
  """
  def claim(prefix) do
    """
    INSERT INTO "#{prefix}".baileys_auth_accounts AS held
      (account, owner_id, owner_counter, owner_node, owner_os_process, owner_host, owner_since_ms)
    VALUES ($1::text, $2::text, $7::bigint + 1, $3::text, $4::text, $5::text, $6::bigint)
    ON CONFLICT (account) DO UPDATE SET
      owner_id = excluded.owner_id,
      owner_counter = excluded.owner_counter,
      owner_fence = CASE WHEN held.owner_id = excluded.owner_id THEN held.owner_fence ELSE 0 END,
      owner_node = excluded.owner_node,
      owner_os_process = excluded.owner_os_process,
      owner_host = excluded.owner_host,
      owner_since_ms = excluded.owner_since_ms
    WHERE held.owner_counter = $7::bigint
      OR (held.owner_id = excluded.owner_id AND held.owner_counter = excluded.owner_counter)
    RETURNING changes
    """
  end

  @doc "Invalidates everything that was sent under the claim before."
  def raise_fence(prefix) do
    """
    UPDATE "#{prefix}".baileys_auth_accounts SET owner_fence = $3::bigint
    WHERE account = $1::text AND owner_id = $2::text AND owner_fence <= $3::bigint
    RETURNING owner_fence
    """
  end

  @doc "Releases a claim. The counter stays, so that the next claim has a higher one."
  def release(prefix) do
    """
    UPDATE "#{prefix}".baileys_auth_accounts SET owner_id = NULL
    WHERE account = $1::text AND owner_id = $2::text
    RETURNING owner_counter
    """
  end

  def owner(prefix) do
    """
    SELECT owner_id, owner_counter, owner_node, owner_os_process, owner_host,
      coalesce(owner_since_ms, 0), changes
    FROM "#{prefix}".baileys_auth_accounts WHERE account = $1::text
    """
  end
end
