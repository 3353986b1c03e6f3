// Prints what Baileys reads in an auth directory: {creds, keys: {type: {id: value | null}}}.
// The request is a JSON file {type: [id]}.

import { readFile } from 'node:fs/promises'
import { Account } from './lib/account.mjs'
import { run } from './lib/run.mjs'

await run('get.mjs <version> <account directory> <request>', async (version, dir, request) => {
  const account = await Account.open(version, dir)
  const keys = {}
  for (const [type, ids] of Object.entries(JSON.parse(await readFile(request, 'utf8')))) {
    keys[type] = await account.keys.get(type, ids)
  }
  await account.close()
  const { replacer } = account.baileys.BufferJSON
  return JSON.parse(JSON.stringify({ creds: account.creds, keys }, replacer))
})
