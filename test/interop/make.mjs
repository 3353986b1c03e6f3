// Makes an account with Baileys: see lib/world.mjs for what is written where.

import { mkdir } from 'node:fs/promises'
import { Account } from './lib/account.mjs'
import { converse } from './lib/conversations.mjs'
import { fillCreds } from './lib/creds.mjs'
import { fillFamilies } from './lib/families.mjs'
import { talkInGroups } from './lib/groups.mjs'
import { openPeers } from './lib/people.mjs'
import { run } from './lib/run.mjs'
import { accountDir, peersDir, savePending } from './lib/world.mjs'

await run('make.mjs <version> <world> [place]', async (version, world, place) => {
  await mkdir(world, { recursive: true })
  const account = await Account.open(version, place ?? accountDir(world))
  const peers = await openPeers(version, peersDir(world))
  const everyone = [account, ...Object.values(peers)]

  fillCreds(account)
  await account.addPreKeys(40)
  for (const peer of Object.values(peers)) await peer.addPreKeys(5)

  const patches = await fillFamilies(account)
  const direct = await converse(account, peers)
  const group = await talkInGroups(account, peers)

  for (const one of everyone) {
    await one.saveCreds()
    await one.close()
  }
  await savePending(world, { version, direct, group, patches })
  return { version, direct: direct.length, group: group.length, patches: patches.length }
})
