// The account answers everybody it knows, before and after it read what was pending, and the peers
// read the answers and write back. Works on copies of the auth directory and of the peers' ones.

import { Account } from './lib/account.mjs'
import { groups, openPeers } from './lib/people.mjs'
import { Report } from './lib/report.mjs'
import { run } from './lib/run.mjs'
import { loadPending, peersDir, withCopy } from './lib/world.mjs'

await run('answer.mjs <version> <account directory> <world>', async (version, dir, world) => {
  const pending = await loadPending(world)
  const report = new Report()
  await withCopy(dir, (accountCopy) =>
    withCopy(peersDir(world), async (peersCopy) => {
      const account = await Account.open(version, accountCopy)
      const peers = Object.values(await openPeers(pending.version, peersCopy))
      await answerDirectly(report, account, peers, pending)
      await answerInGroups(report, account, peers)
      for (const one of [account, ...peers]) await one.close()
    })
  )
  return report
})

async function answerDirectly(report, account, peers, pending) {
  // Whoever wrote for the first time and was not read yet cannot be answered before.
  const strangers = pending.direct.filter(({ kind }) => kind === 'first').map(({ jid }) => jid)
  const known = peers.filter(({ jid }) => !strangers.includes(jid))
  const before = await writeToAll(account, known, 'before reading')
  for (const message of pending.direct.filter(({ kind }) => kind !== 'closed')) {
    await account.read(message.jid, message).catch((error) => report.failed('read', message, error))
  }
  const after = await writeToAll(account, peers, 'after reading')

  // The later answer first: the earlier one then needs a key that was skipped.
  for (const [kind, answers] of [['answer', after], ['late answer', before]]) {
    for (const { peer, message } of answers) {
      await report.attempt(kind, { ...message, jid: peer.jid }, () => peer.read(account.jid, message))
    }
  }
  for (const peer of peers) {
    await report.attempt('reply', { text: 'thank you', jid: peer.jid }, async () =>
      account.read(peer.jid, await peer.write(account.jid, 'thank you'))
    )
  }
}

async function writeToAll(account, peers, text) {
  const answers = []
  for (const peer of peers) answers.push({ peer, message: await account.write(peer.jid, text) })
  return answers
}

async function answerInGroups(report, account, peers) {
  for (const group of groups) {
    for (const text of ['to all', 'to all again']) {
      const message = await account.writeGroup(group, text)
      for (const peer of peers) {
        await report.attempt('group answer', message, () => peer.readGroup(message))
      }
    }
  }
}
