// One account over one auth directory, put together as Baileys' own socket does it.

import { loadBaileys, logger } from './baileys.mjs'
import { openState } from './stores.mjs'

const transactions = { maxCommitRetries: 1, delayBetweenTriesMs: 0 }

export class Account {
  /**
   * Opens `dir`, or a session of another store, with Baileys `version`, such as "6.7.18", or "6.7.18+cached" for its cached key store; makes
   * the directory and a new identity if there is none.
   */
  static async open(version, dir) {
    const [number, cached] = version.split('+')
    const baileys = await loadBaileys(number)
    const { state, saveCreds, close } = await openState(baileys, dir)
    if (cached) state.keys = baileys.makeCacheableSignalKeyStore(state.keys, logger)
    return new Account(baileys, dir, state, { saveCreds, close })
  }

  constructor(baileys, dir, { creds, keys }, { saveCreds, close }) {
    this.baileys = baileys
    this.dir = dir
    this.creds = creds
    this.saveCreds = saveCreds
    this.closeStore = close
    this.keys = baileys.addTransactionCapability(keys, logger, transactions)
    this.signal = baileys.makeLibSignalRepository({ creds, keys: this.keys }, logger)
  }

  get jid() {
    return this.creds.me.id
  }

  /** Makes `count` more pre-keys, as Baileys does before it uploads them. */
  async addPreKeys(count) {
    const { update } = await this.baileys.getNextPreKeys(this, count)
    Object.assign(this.creds, update)
  }

  /** What the server hands out to someone who wants to write to this account for the first time. */
  async bundle(preKeyId) {
    const { generateSignalPubKey } = this.baileys
    const { registrationId, signedIdentityKey, signedPreKey } = this.creds
    const bundle = {
      registrationId,
      identityKey: generateSignalPubKey(signedIdentityKey.public),
      signedPreKey: {
        keyId: signedPreKey.keyId,
        publicKey: generateSignalPubKey(signedPreKey.keyPair.public),
        signature: signedPreKey.signature
      }
    }
    if (preKeyId === undefined) return bundle
    const { [preKeyId]: preKey } = await this.keys.get('pre-key', [String(preKeyId)])
    return { ...bundle, preKey: { keyId: preKeyId, publicKey: generateSignalPubKey(preKey.public) } }
  }

  /** Starts a new session towards `other`; one that is open is closed by it. */
  async startSession(other, preKeyId) {
    await this.signal.injectE2ESession({ jid: other.jid, session: await other.bundle(preKeyId) })
  }

  /** A direct message to `jid`: `{type, text, msg}`, `msg` in base64. */
  async write(jid, text) {
    const { type, ciphertext } = await this.signal.encryptMessage({ jid, data: Buffer.from(text) })
    return { type, text, msg: Buffer.from(ciphertext).toString('base64') }
  }

  /** Decrypts a direct message of `jid` and fails unless its text is what was written. */
  async read(jid, { type, text, msg }) {
    const data = await this.signal.decryptMessage({ jid, type, ciphertext: Buffer.from(msg, 'base64') })
    sameText(data, text)
  }

  /** A message to `group`: `{group, author, text, msg, distribution}`. */
  async writeGroup(group, text) {
    const { ciphertext, senderKeyDistributionMessage } = await this.signal.encryptGroupMessage({
      group, meId: this.jid, data: Buffer.from(text)
    })
    return {
      group, author: this.jid, text,
      msg: Buffer.from(ciphertext).toString('base64'),
      distribution: Buffer.from(senderKeyDistributionMessage).toString('base64')
    }
  }

  /** Learns the author's sender key, as from the distribution message that comes with it. */
  async learnSenderKey({ group, author, distribution }) {
    await this.signal.processSenderKeyDistributionMessage({
      item: { groupId: group, axolotlSenderKeyDistributionMessage: Buffer.from(distribution, 'base64') },
      authorJid: author
    })
  }

  async readGroup({ group, author, text, msg }) {
    const data = await this.signal.decryptGroupMessage({ group, authorJid: author, msg: Buffer.from(msg, 'base64') })
    sameText(data, text)
  }

  /** Stops what would keep the process alive: timers, connections. */
  async close() {
    this.signal.close?.()
    await this.closeStore()
  }
}

function sameText(data, text) {
  if (Buffer.from(data).toString() !== text) throw new Error('decrypted to another text')
}
