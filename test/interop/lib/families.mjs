// Everything but messages: app-state keys and versions, LID mappings, device lists, tokens, memory.

import { randomBytes } from 'node:crypto'
import { frankLid, groups, peers } from './people.mjs'

const appStateKeys = {
  'AAAA/+Ab': {
    fingerprint: { rawId: 77, currentIndex: 2, deviceIndexes: [0, 1, 2] },
    timestamp: 1710000000123
  },
  AAAAAKmI: { timestamp: 1710000000999 },
  AAAAAKmJ: {}
}

/** Saves them and returns the app-state patches that have not been fetched yet. */
export async function fillFamilies(account) {
  await addAppStateKeys(account)
  await account.keys.set({
    'sender-key-memory': {
      [groups[0]]: { '15559990002:0@s.whatsapp.net': true, '15557770003:3@s.whatsapp.net': false }
    }
  })
  if (account.baileys.hasLids) await addLidFamilies(account)
  // Older versions differ in how they are called, not in what they keep.
  return account.baileys.isOlder ? [] : syncAppState(account)
}

async function addAppStateKeys({ keys, baileys }) {
  const { AppStateSyncKeyData } = baileys.proto.Message
  for (const [id, rest] of Object.entries(appStateKeys)) {
    const data = AppStateSyncKeyData.fromObject({ keyData: randomBytes(32), ...rest })
    await keys.set({ 'app-state-sync-key': { [id]: data } })
  }
}

async function addLidFamilies(account) {
  const user = (jid) => account.baileys.jidDecode(jid).user
  const strangers = Array.from({ length: 10 }, (_, n) => ({
    lid: `${800000000 + n}@lid`, pn: `${15550000000 + n}@s.whatsapp.net`
  }))
  await account.signal.lidMapping.storeLIDPNMappings([{ lid: frankLid, pn: peers.frank }, ...strangers])

  const tokens = {
    [peers.alice]: { token: randomBytes(16), timestamp: '1710000001' },
    [frankLid]: { token: randomBytes(16), timestamp: '1710000002', senderTimestamp: 1710000003 }
  }
  const index = { __index: { token: Buffer.from(JSON.stringify(Object.keys(tokens))) } }
  await account.keys.set({
    'device-list': { [user(account.jid)]: ['0', '7'], [user(peers.alice)]: ['0', '2', '99'] },
    tctoken: { ...tokens, ...index }
  })
}

// The phone has made these changes; the account has applied all but the last of each collection.
async function syncAppState(account) {
  const { newLTHashState, encodeSyncdPatch, proto } = account.baileys
  const keyOf = keyReader(account)
  const SET = proto.SyncdMutation.SyncdOperation.SET
  const pending = []
  for (const [name, changes] of [['regular_high', 5], ['critical_block', 1]]) {
    let applied = newLTHashState()
    let next
    for (let n = 0; n < changes; n++) {
      applied = next?.state ?? applied
      const change = {
        type: name, operation: SET, apiVersion: 2, index: ['contact', `1555000000${n}@s.whatsapp.net`],
        syncAction: { timestamp: 1710000000 + n, contactAction: { fullName: `Contact ${n}` } }
      }
      next = await encodeSyncdPatch(change, account.creds.myAppStateKeyId, applied, keyOf)
    }
    await account.keys.set({ 'app-state-sync-version': { [name]: applied } })
    const patch = proto.SyncdPatch.encode({ ...next.patch, version: { version: next.state.version } }).finish()
    pending.push({ name, patch: Buffer.from(patch).toString('base64'), hash: base64(next.state.hash) })
  }
  return pending
}

/** Applies a patch to the account's saved state and fails unless the result is what the phone has. */
export async function applyPatch(account, { name, patch, hash }) {
  const { decodeSyncdPatch, proto } = account.baileys
  const { [name]: state } = await account.keys.get('app-state-sync-version', [name])
  const message = proto.SyncdPatch.decode(Buffer.from(patch, 'base64'))
  const changes = []
  const next = await decodeSyncdPatch(message, name, state, keyReader(account), (change) => changes.push(change), true)
  if (changes.length !== message.mutations.length) throw new Error('a change is missing')
  if (base64(next.hash) !== hash) throw new Error('the state came out different')
}

const base64 = (bytes) => Buffer.from(bytes).toString('base64')

function keyReader({ keys }) {
  return async (id) => {
    const { [id]: key } = await keys.get('app-state-sync-key', [id])
    return key
  }
}
