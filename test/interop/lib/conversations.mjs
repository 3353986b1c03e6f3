// Direct messages between the account and its peers, some of which are still under way.
//
// `pending` holds those that the account has not got yet, by kind:
//   late    skipped: a later message of the same chain was read already
//   next    goes on in the open session
//   closed  written in a session that has been replaced since
//   first   starts a session with one of the account's pre-keys

/** Returns the pending direct messages, in an order in which they can be read. */
export async function converse(account, peers) {
  const pending = []
  const keep = (peer, kind, ...messages) =>
    messages.forEach((message) => pending.push({ jid: peer.jid, kind, ...message }))

  await talkBothWays(account, peers.alice, keep)
  await accountWroteFirst(account, peers.bob, keep)
  await talkUnderALid(account, peers.frank, keep)
  await replaceSessions(account, peers.dave, keep)
  await firstMessagesUnderWay(account, peers.erin, keep)

  // Never answered: once after an earlier session, and once without a one-time pre-key.
  for (let round = 0; round < 2; round++) {
    await account.startSession(peers.carol, round + 1)
    await account.write(peers.carol.jid, `never read ${round}`)
  }
  await account.startSession(peers.gina)
  await account.write(peers.gina.jid, 'never read')

  return pending
}

async function writeAll(from, to, texts) {
  const messages = []
  for (const text of texts) messages.push(await from.write(to.jid, text))
  return messages
}

const burst = (name, count) => Array.from({ length: count }, (_, n) => `${name} ${n}`)

/** Writes one message after the other, has `delivered` of them read, and returns the others. */
async function writeSome(from, to, texts, delivered) {
  const messages = await writeAll(from, to, texts)
  for (const n of delivered) await to.read(from.jid, messages[n])
  return messages.filter((_, n) => !delivered.includes(n))
}

async function talkBothWays(account, alice, keep) {
  await alice.startSession(account, 5)
  await writeSome(alice, account, ['hello', 'are you there?'], [0, 1])
  await writeSome(account, alice, ['yes', 'here'], [0, 1])
  keep(alice, 'late', ...(await writeSome(alice, account, burst('burst', 6), [1, 4])))
  await writeSome(account, alice, ['go on', 'please'], [1])
  keep(alice, 'late', ...(await writeSome(alice, account, burst('later', 5), [2, 4])))
  keep(alice, 'next', ...(await writeAll(alice, account, burst('next', 2))))
}

async function accountWroteFirst(account, bob, keep) {
  await account.startSession(bob, 3)
  await writeSome(account, bob, ['hi', 'it is me'], [0, 1])
  keep(bob, 'late', ...(await writeSome(bob, account, burst('reply', 4), [3])))
  await writeSome(account, bob, ['a', 'b', 'c'], [2])
  keep(bob, 'next', ...(await writeAll(bob, account, burst('new chain', 3))))
}

async function talkUnderALid(account, frank, keep) {
  await frank.startSession(account, 6)
  keep(frank, 'late', ...(await writeSome(frank, account, burst('lid', 3), [0, 2])))
  await writeSome(account, frank, ['ok'], [0])
  keep(frank, 'next', ...(await writeAll(frank, account, burst('lid next', 2))))
}

// Each new bundle closes the session before it, on both sides; what was under way arrives later.
async function replaceSessions(account, dave, keep) {
  for (let round = 0; round < 3; round++) {
    await dave.startSession(account, 10 + round)
    await writeSome(dave, account, [`session ${round}`], [0])
    await writeSome(account, dave, ['welcome back'], [0])
    await writeSome(dave, account, ['thanks'], [0])
    const kind = round < 2 ? 'closed' : 'next'
    keep(dave, kind, ...(await writeAll(dave, account, burst(`of session ${round}`, 2))))
  }
}

async function firstMessagesUnderWay(account, erin, keep) {
  await erin.startSession(account, 20)
  keep(erin, 'first', ...(await writeAll(erin, account, burst('first', 3))))
}
