// Prints a digest of everything Baileys reads in an auth directory, by file and creds member.

import { Account } from './lib/account.mjs'
import { digestAll } from './lib/canonical.mjs'
import { run } from './lib/run.mjs'
import { withCopy } from './lib/world.mjs'

await run('digest.mjs <version> <account directory>', (version, dir) =>
  withCopy(dir, async (copy) => {
    const account = await Account.open(version, copy)
    const digests = await digestAll(account)
    await account.close()
    return digests
  })
)
