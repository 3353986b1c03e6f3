// Reads every pending message of a world with an auth directory of its account, and the app-state
// patches with it. The directory is not changed: all work is done on copies.
//
// Messages that change how others can be read get a copy of their own. Baileys writes a sender key
// back in a form of which it cannot use a skipped key any more, so every group message that was
// skipped does; and libsignal damages the open session while it finds out that a message belongs to
// a closed one.

import { Account } from './lib/account.mjs'
import { applyPatch } from './lib/families.mjs'
import { Report } from './lib/report.mjs'
import { run } from './lib/run.mjs'
import { loadPending, withCopy } from './lib/world.mjs'

await run('read.mjs <version> <account> <world>', async (version, dir, world) => {
  const { direct, group, patches } = await loadPending(world)
  const report = new Report()
  const readDirect = (account, message) => account.read(message.jid, message)
  const readGroup = (account, message) => account.readGroup(message)

  const closed = (message) => message.kind === 'closed'
  await together(direct.filter((message) => !closed(message)), 'direct', readDirect)
  await alone(direct.filter(closed), 'direct', readDirect)

  const late = (message) => message.kind === 'late'
  await alone(group.filter(late), 'group', readGroup)
  await together(group.filter((message) => !late(message)), 'group', readGroup)

  await together(patches, 'patch', applyPatch)
  return report

  async function together(items, where, work) {
    await withAccount(async (account) => {
      for (const item of items) await report.attempt(where, item, () => work(account, item))
    })
  }

  async function alone(items, where, work) {
    for (const item of items) await together([item], where, work)
  }

  async function withAccount(work) {
    await withCopy(dir, async (copy) => {
      const account = await Account.open(version, copy)
      await work(account)
      await account.close()
    })
  }
})
