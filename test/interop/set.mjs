// Writes into an auth directory with Baileys. The changes are a JSON file
// {creds: {member: value}, keys: {type: {id: value | null}}} with bytes as Baileys writes them.

import { readFile } from 'node:fs/promises'
import { Account } from './lib/account.mjs'
import { run } from './lib/run.mjs'

await run('set.mjs <version> <account directory> <changes>', async (version, dir, changesFile) => {
  const account = await Account.open(version, dir)
  const { reviver } = account.baileys.BufferJSON
  const { creds, keys = {} } = JSON.parse(await readFile(changesFile, 'utf8'), reviver)
  await account.keys.set(keys)
  if (creds) {
    Object.assign(account.creds, creds)
    await account.saveCreds()
  }
  await account.close()
  return { types: Object.keys(keys), creds: Object.keys(creds ?? {}) }
})
