// Checks a fresh identity that somebody else saved: Baileys opens it without making its own, libsignal
// verifies the signed pre-key, and a stranger can start a session with it. Works on a copy.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import libsignal from 'libsignal'
import { Account } from './lib/account.mjs'
import { peers, self } from './lib/people.mjs'
import { Report } from './lib/report.mjs'
import { run } from './lib/run.mjs'
import { withCopy } from './lib/world.mjs'

const identity = ['noiseKey', 'pairingEphemeralKeyPair', 'signedIdentityKey', 'signedPreKey',
  'registrationId', 'advSecretKey']

await run('verify_identity.mjs <version> <account directory>', async (version, dir) => {
  const report = new Report()
  await withCopy(dir, async (copy) => {
    const account = await Account.open(version, copy)
    const { reviver } = account.baileys.BufferJSON
    const raw = async (path) => JSON.parse(await readFile(join(path, 'creds.json'), 'utf8'), reviver)
    await report.attempt('identity opened', { name: 'creds' }, async () => sameIdentity(await raw(dir), account.creds))
    await report.attempt('identity complete', { name: 'creds' }, () => complete(account))
    await report.attempt('signature', { name: 'signedPreKey' }, () => verifySignature(account))
    await withCopy(copy, (stranger) => firstMessages(report, account, version, join(stranger, 'stranger')))
    await account.saveCreds()
    await report.attempt('identity kept', { name: 'creds' }, async () => sameIdentity(await raw(dir), await raw(copy)))
    await account.close()
  })
  return report
})

function sameIdentity(expected, found) {
  for (const member of identity) {
    const [a, b] = [expected, found].map((creds) => JSON.stringify(creds[member]))
    if (a === undefined || a !== b) throw new Error(`${member} is another one`)
  }
}

// A fresh identity has every member that Baileys' own fresh one has, of the same type.
function complete({ creds, baileys }) {
  for (const [member, value] of Object.entries(baileys.initAuthCreds())) {
    if (value !== undefined && typeof creds[member] !== typeof value) throw new Error(`${member} is missing`)
  }
  const { registrationId, advSecretKey, noiseKey, signedIdentityKey } = creds
  if (!(registrationId >= 0 && registrationId < 2 ** 14)) throw new Error('registrationId has not 14 bits')
  if (Buffer.from(advSecretKey, 'base64').length !== 32) throw new Error('advSecretKey has not 32 bytes')
  for (const pair of [noiseKey, creds.pairingEphemeralKeyPair, signedIdentityKey, creds.signedPreKey.keyPair]) {
    const publicKey = libsignal.curve.getPublicFromPrivateKey(pair.private)
    if (!publicKey.subarray(1).equals(pair.public)) throw new Error('a public key does not belong to its private one')
  }
}

function verifySignature({ creds, baileys }) {
  const { generateSignalPubKey } = baileys
  const { keyPair, signature } = creds.signedPreKey
  // Not Baileys' Curve.verify, nor the check within a new session: both let any 64 bytes pass.
  const valid = libsignal.curve.verifySignature(
    generateSignalPubKey(creds.signedIdentityKey.public), generateSignalPubKey(keyPair.public), signature)
  if (!valid) throw new Error('the signature of the signed pre-key is wrong')
}

// Once with a one-time pre-key for every one that was saved, and once without.
async function firstMessages(report, account, version, strangerDir) {
  account.creds.me = { ...self }
  const saved = await account.keys.get('pre-key', ['1', '2', '3'])
  const ids = Object.keys(saved).filter((id) => saved[id]).map(Number)
  for (const id of [undefined, ...ids]) {
    const stranger = await Account.open(version, `${strangerDir}-${id ?? 'none'}`)
    stranger.creds.me = { id: peers.alice }
    await stranger.startSession(account, id)
    const hello = await stranger.write(account.jid, 'hello')
    await report.attempt('first message', { ...hello, jid: peers.alice }, () => account.read(peers.alice, hello))
    const answer = await account.write(peers.alice, 'welcome')
    await report.attempt('answer', { ...answer, jid: account.jid }, () => stranger.read(account.jid, answer))
    await stranger.close()
  }
}
