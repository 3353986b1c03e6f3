// What Baileys makes of each file of an auth directory, in one spelling: two directories that mean
// the same to Baileys have equal canonical values, however they write their bytes.

import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import libsignal from 'libsignal'

// Longest first, since "sender-key-" also begins "sender-key-memory-".
const families = [
  'app-state-sync-version', 'app-state-sync-key', 'sender-key-memory', 'identity-key', 'device-list',
  'lid-mapping', 'sender-key', 'pre-key', 'session', 'tctoken'
]

/** A digest of every key by file name, and of every member of the credentials as "creds.<member>". */
export async function digestAll(account) {
  const digests = {}
  for (const [name, value] of Object.entries(account.creds)) {
    if (value !== undefined && value !== null) digests[`creds.${name}`] = digest(credsMember(name, value))
  }
  for (const file of (await readdir(account.dir)).sort()) {
    const family = families.find((name) => file.startsWith(`${name}-`) && file.endsWith('.json'))
    if (!family) continue
    const id = file.slice(family.length + 1, -'.json'.length)
    const { [id]: value } = await account.keys.get(family, [id])
    digests[file] = digest(keyValue(account, family, value))
  }
  return digests
}

function keyValue({ baileys }, family, value) {
  if (value === null || value === undefined) throw new Error(`Baileys reads nothing from a ${family} file`)
  if (family === 'session') return libsignal.SessionRecord.deserialize(value).serialize()
  if (family === 'sender-key') return baileys.SenderKeyRecord.deserialize(value).serialize().map(senderKeyState)
  return value
}

// A key without its private half is kept by some as empty bytes and by some not at all.
function senderKeyState({ senderSigningKey, ...state }) {
  const { public: publicKey, private: privateKey } = senderSigningKey
  return { ...state, senderSigningKey: { public: publicKey, private: privateKey ?? Buffer.alloc(0) } }
}

function credsMember(name, value) {
  return name === 'processedHistoryMessages' ? value.map(historyMessage) : value
}

// Baileys saves a time as a number, as text, or as a Long, and empty members of a key or none.
function historyMessage({ key, messageTimestamp: time }) {
  const members = Object.entries(key).filter(([, member]) => member !== '' && member !== null)
  const seconds = typeof time === 'object' ? time.high * 2 ** 32 + (time.low >>> 0) : Number(time)
  return { key: Object.fromEntries(members), messageTimestamp: seconds }
}

function digest(value) {
  return createHash('sha256').update(JSON.stringify(canonical(value))).digest('hex')
}

function canonical(value) {
  if (typeof value?.toJSON === 'function' && !Buffer.isBuffer(value)) return canonical(value.toJSON())
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('base64') }
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value !== 'object' || value === null) return value
  if (value.type === 'Buffer') return { bytes: Buffer.from(value.data).toString('base64') }
  const present = Object.keys(value).filter((name) => value[name] !== undefined && value[name] !== null)
  return Object.fromEntries(present.sort().map((name) => [name, canonical(value[name])]))
}
