// Where an auth state is kept: a directory, or a session of a store over SQL,
//   postgres://USER@HOST:PORT/DATABASE#SESSION        postgres-baileys
//   mysql:SOCKET#SESSION                              mysql-baileys, as root in the database "base"

import pg from 'pg'
import { useMySQLAuthState } from 'mysql-baileys'
import { usePostgreSQLAuthState } from 'postgres-baileys'

/** `{state, saveCreds, close}` of the place; a new identity if there is none. */
export async function openState(baileys, place) {
  const [address, session] = place.split('#')
  if (session === undefined) return { ...await baileys.useMultiFileAuthState(place), close() {} }
  if (address.startsWith('postgres:')) return openPostgres(address, session)
  return openMysql(address, session)
}

/** Whether the place is a directory, of which a copy can be made. */
export const isDirectory = (place) => !place.includes('#')

async function openPostgres(address, session) {
  const pool = new pg.Pool({ connectionString: address })
  // The package makes its table, and does not wait until it is there.
  await pool.query('CREATE TABLE IF NOT EXISTS auth_data (session_key VARCHAR(255) PRIMARY KEY, data TEXT NOT NULL)')
  const { state, saveCreds } = await usePostgreSQLAuthState(pool, session)
  return { state, saveCreds, close: () => pool.end() }
}

async function openMysql(address, session) {
  const config = { socketPath: address.slice('mysql:'.length), session, maxRetries: 1 }
  const { state, saveCreds, query } = await useMySQLAuthState({ ...config, retryRequestDelayMs: 1 })
  // Its one connection stays open, and the process with it: the server ends it.
  return { state, saveCreds, close: () => query('KILL CONNECTION_ID()').catch(() => {}) }
}

/** A session with the same rows, and how to take it away again. */
export async function copySession(place) {
  const [address, session] = place.split('#')
  const copy = `copy-${process.pid}-${Math.random().toString(36).slice(2)}`
  const [fill, clear] = address.startsWith('postgres:')
    ? [
        `INSERT INTO auth_data SELECT '${copy}' || substr(session_key, ${session.length + 1}), data
           FROM auth_data WHERE session_key LIKE '${session}:%'`,
        `DELETE FROM auth_data WHERE session_key LIKE '${copy}:%'`
      ]
    : [
        `INSERT INTO auth SELECT '${copy}', id, value FROM auth WHERE session = '${session}'`,
        `DELETE FROM auth WHERE session = '${copy}'`
      ]
  await execute(address, fill)
  return { place: `${address}#${copy}`, remove: () => execute(address, clear) }
}

async function execute(address, sql) {
  if (address.startsWith('postgres:')) {
    const client = new pg.Client({ connectionString: address })
    await client.connect()
    await client.query(sql)
    return client.end()
  }
  const { createConnection } = await import('mysql2/promise')
  const connection = await createConnection({ socketPath: address.slice('mysql:'.length), user: 'root', database: 'base' })
  await connection.query(sql)
  return connection.end()
}
