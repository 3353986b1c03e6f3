// What Baileys itself does with keys that come and go, and what it can do without them: the facts behind
// guides/growth.md. Works in a directory of its own.

import { join } from 'node:path'
import { Account } from './lib/account.mjs'
import { logger } from './lib/baileys.mjs'
import { groups, peers, self } from './lib/people.mjs'
import { run } from './lib/run.mjs'

const user = (jid) => jid.split(/[:@]/)[0]

await run('growth.mjs <version> <directory>', async (version, dir) => {
  const open = async (name, me) => {
    const account = await Account.open(version, join(dir, name))
    account.creds.me = { ...me }
    return account
  }
  const account = await open('account', self)
  const [alice, bob, carol] = await Promise.all(
    ['alice', 'bob', 'carol'].map((name) => open(name, { id: peers[name] })))
  const facts = {
    preKeys: await preKeys(account, alice, bob),
    sessions: await sessions(account, alice),
    senderKeys: await senderKeys(account, carol)
  }
  if (account.baileys.hasLids) {
    facts.mappings = await mappings(account)
    facts.deviceLists = await deviceLists(account)
  }
  for (const one of [account, alice, bob, carol]) await one.close()
  return facts
})

async function idsOf(account, count) {
  const ids = Array.from({ length: count }, (_, index) => String(index + 1))
  const found = await account.keys.get('pre-key', ids)
  return ids.filter((id) => found[id]).map(Number)
}

function reason(work) {
  return work().then(() => null, (error) => error.message)
}

// Made in order and counted as handed out at once; gone with the first message that uses one, and only then.
async function preKeys(account, alice, bob) {
  await account.addPreKeys(5)
  const { nextPreKeyId, firstUnuploadedPreKeyId } = account.creds
  const made = await idsOf(account, 10)
  await alice.startSession(account, 3)
  await account.read(alice.jid, await alice.write(account.jid, 'first'))
  const afterFirst = await idsOf(account, 10)
  await account.read(alice.jid, await alice.write(account.jid, 'second'))
  const afterSecond = await idsOf(account, 10)

  // One that was handed out, and removed by hand.
  await bob.startSession(account, 4)
  await account.keys.set({ 'pre-key': { 4: null } })
  const hello = await bob.write(account.jid, 'hello')
  const withoutPreKey = await reason(() => account.read(bob.jid, hello))
  return { made, nextPreKeyId, firstUnuploadedPreKeyId, afterFirst, afterSecond, withoutPreKey }
}

async function sessions(account, alice) {
  await alice.read(account.jid, await account.write(alice.jid, 'answer'))
  const next = await alice.write(account.jid, 'next')
  const address = account.signal.jidToSignalProtocolAddress(alice.jid)
  await account.keys.set({ session: { [address]: null } })
  return { withoutSession: await reason(() => account.read(alice.jid, next)) }
}

// A new one of one's own is another key, which those who have the old one cannot use.
async function senderKeys(account, carol) {
  const [group] = groups
  const first = await account.writeGroup(group, 'first')
  await carol.learnSenderKey(first)
  await carol.readGroup(first)
  await account.keys.set({ 'sender-key': { [nameOf(account, group, account.jid)]: null } })
  const second = await account.writeGroup(group, 'second')
  const afterOwnWasRemoved = await reason(() => carol.readGroup(second))

  const theirs = await carol.writeGroup(group, 'theirs')
  await account.learnSenderKey(theirs)
  await account.keys.set({ 'sender-key': { [nameOf(account, group, carol.jid)]: null } })
  return { afterOwnWasRemoved, withoutTheirs: await reason(() => account.readGroup(theirs)) }
}

function nameOf(account, group, jid) {
  const address = account.signal.jidToSignalProtocolAddress(jid)
  const [name, device] = address.split('.')
  return `${group}::${name}::${device}`
}

// The server is asked for the LID of a number, and never for the number of a LID.
async function mappings({ baileys, creds, keys }) {
  const lid = '900000000099@lid'
  let asked = 0
  const ask = async () => {
    asked += 1
    return []
  }
  const fresh = () => baileys.makeLibSignalRepository({ creds, keys }, logger, ask).lidMapping
  await fresh().storeLIDPNMappings([{ lid, pn: peers.gina }])
  const stored = await keys.get('lid-mapping', [user(peers.gina), `${user(lid)}_reverse`])
  await keys.set({ 'lid-mapping': { [user(peers.gina)]: null, [`${user(lid)}_reverse`]: null } })
  const number = await fresh().getPNForLID(lid)
  const askedForNumber = asked
  await fresh().getLIDForPN(peers.gina)
  return { stored: Object.keys(stored).length, number, askedForNumber, askedForLid: asked }
}

// A session moves from the number to the LID only for devices that are listed.
async function deviceLists(account) {
  const erin = user(peers.erin)
  const lid = '900000000066@lid'
  const stranger = await Account.open('7.0.0-rc14', join(account.dir, '..', 'erin'))
  stranger.creds.me = { id: peers.erin }
  await stranger.addPreKeys(1)
  await account.startSession(stranger, 1)
  await account.keys.set({ 'device-list': { [erin]: null } })
  const withoutList = await account.signal.migrateSession(peers.erin, lid)
  await account.keys.set({ 'device-list': { [erin]: ['0'] } })
  const withList = await account.signal.migrateSession(peers.erin, lid)
  const left = await account.keys.get('session', [`${erin}.0`, `${user(lid)}_1.0`])
  await stranger.close()
  return {
    withoutList: withoutList.migrated,
    withList: withList.migrated,
    left: Object.keys(left).filter((id) => left[id])
  }
}
