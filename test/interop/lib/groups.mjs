// Group messages: skipped ones, sender keys that were replaced, and the account's own sender keys.

import { groups, youngGroup } from './people.mjs'

/** Returns the pending group messages, in an order in which they can be read. */
export async function talkInGroups(account, peers) {
  const pending = []
  const keep = (kind, messages) => messages.forEach((message) => pending.push({ kind, ...message }))

  for (const group of groups) {
    for (const author of [peers.alice, peers.dave]) {
      keep('late', await writeSome(account, author, group, 'g', 7, [0, 4, 6]))
      keep('next', await writeSome(account, author, group, 'g next', 2, []))
    }
  }
  await replaceSenderKey(account, peers.bob, groups[0], keep)
  if (account.baileys.isOlder) await keysOfEveryAge(account, peers, keep)
  for (const group of groups) await writeOwn(account, Object.values(peers), group)
  return pending
}

/** The author writes `count` messages; the account gets `delivered` of them; returns the others. */
async function writeSome(account, author, group, name, count, delivered) {
  const rest = []
  for (let n = 0; n < count; n++) {
    const message = await author.writeGroup(group, `${name}${n}`)
    if (delivered.includes(n)) {
      if (n === 0) await account.learnSenderKey(message)
      await account.readGroup(message)
    } else {
      rest.push(message)
    }
  }
  return rest
}

// Somebody left the group, so the author takes a new sender key; the account keeps both.
async function replaceSenderKey(account, author, group, keep) {
  keep('late', await writeSome(account, author, group, 'old key ', 4, [0, 3]))
  keep('next', await writeSome(account, author, group, 'old key next ', 2, []))
  const { user, device } = author.baileys.jidDecode(author.jid)
  await author.keys.set({ 'sender-key': { [`${group}::${user}::${device ?? 0}`]: null } })
  keep('late', await writeSome(account, author, group, 'new key ', 3, [0, 2]))
  keep('next', await writeSome(account, author, group, 'new key next ', 2, []))
}

// Sent with once, and received with nothing read yet: such keys have no list of skipped ones on disk.
async function keysOfEveryAge(account, peers, keep) {
  await account.writeGroup(youngGroup, 'my only one')
  for (const author of [peers.carol, peers.gina]) {
    const messages = [await author.writeGroup(youngGroup, 'young 0'), await author.writeGroup(youngGroup, 'young 1')]
    await account.learnSenderKey(messages[0])
    keep('next', messages)
  }
}

async function writeOwn(account, peers, group) {
  const first = await account.writeGroup(group, 'my own 0')
  for (const peer of peers) {
    await peer.learnSenderKey(first)
    await peer.readGroup(first)
  }
  for (const text of ['my own 1', 'my own 2']) await account.writeGroup(group, text)
}
