// Node goes on in an auth directory, in place: reads what can be read in order, answers, gets new
// messages, applies app-state patches, makes pre-keys and saves its credentials. What is still not
// read, and what was skipped now, is the world's new pending.json.

import { Account } from './lib/account.mjs'
import { applyPatch } from './lib/families.mjs'
import { openPeers } from './lib/people.mjs'
import { Report } from './lib/report.mjs'
import { run } from './lib/run.mjs'
import { loadPending, peersDir, savePending } from './lib/world.mjs'

await run('continue.mjs <version> <account directory> <world>', async (version, dir, world) => {
  const pending = await loadPending(world)
  const account = await Account.open(version, dir)
  const peers = Object.values(await openPeers(pending.version, peersDir(world)))
  const report = new Report()

  const direct = await readInOrder(report, account, pending.direct)
  const group = await readGroups(report, account, pending.group)
  for (const patch of pending.patches) {
    await report.attempt('patch', patch, () => applyPatch(account, patch))
  }
  direct.push(...(await talkOn(report, account, peers)))

  await account.addPreKeys(account.creds.nextPreKeyId - account.creds.firstUnuploadedPreKeyId + 5)
  account.creds.accountSyncCounter += 1
  for (const one of [account, ...peers]) {
    await one.saveCreds()
    await one.close()
  }
  await savePending(world, { ...pending, direct, group })
  return report
})

async function readInOrder(report, account, messages) {
  const rest = []
  for (const message of messages) {
    if (message.kind === 'next' || message.kind === 'first') {
      await report.attempt('direct', message, () => account.read(message.jid, message))
    } else {
      rest.push(message)
    }
  }
  return rest
}

// Not the first of two: reading the second one adds a skipped key.
async function readGroups(report, account, messages) {
  const next = messages.filter(({ kind, text }) => kind === 'next' && !text.endsWith('0'))
  for (const message of next) {
    await report.attempt('group', message, () => account.readGroup(message))
  }
  return messages
    .filter((message) => !next.includes(message))
    .map((message) => ({ ...message, kind: 'late' }))
}

async function talkOn(report, account, peers) {
  const skipped = []
  for (const peer of peers) {
    const answer = await account.write(peer.jid, 'from Node again')
    await report.attempt('answer', { ...answer, jid: peer.jid }, () => peer.read(account.jid, answer))
    const messages = []
    for (const n of [0, 1, 2]) messages.push(await peer.write(account.jid, `continued ${n}`))
    await report.attempt('reply', { ...messages[1], jid: peer.jid }, () => account.read(peer.jid, messages[1]))
    skipped.push({ jid: peer.jid, kind: 'late', ...messages[0] }, { jid: peer.jid, kind: 'next', ...messages[2] })
  }
  return skipped
}
