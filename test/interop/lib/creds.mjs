// creds.json with every optional member that Baileys knows and one that it does not.

import { randomBytes } from 'node:crypto'
import { self } from './people.mjs'

export function fillCreds({ creds, baileys }) {
  const bytes = (length) => Uint8Array.from(randomBytes(length))
  Object.assign(creds, {
    me: { ...self },
    registered: true,
    pairingCode: 'ABCD1234',
    platform: 'android',
    lastPropHash: '2P1Yhf',
    lastAccountSyncTimestamp: 1710000100,
    myAppStateKeyId: 'AAAA/+Ab',
    accountSyncCounter: 3,
    routingInfo: randomBytes(6),
    account: baileys.proto.ADVSignedDeviceIdentity.create({
      details: bytes(20), accountSignatureKey: bytes(32),
      accountSignature: bytes(64), deviceSignature: bytes(64)
    }),
    signalIdentities: [baileys.createSignalIdentity(self.id, creds.signedIdentityKey.public)],
    accountSettings: {
      unarchiveChats: true,
      defaultDisappearingMode: { ephemeralExpiration: 86400, ephemeralSettingTimestamp: 1710000000 }
    },
    processedHistoryMessages: [
      { key: { remoteJid: '15559990002@s.whatsapp.net', fromMe: true, id: '3EB0ABCDEF', participant: '' },
        messageTimestamp: 1710000600 },
      { key: { remoteJid: '15559990002@s.whatsapp.net', remoteJidAlt: '900000000002@lid', fromMe: false,
          id: '3EB0FEDCBA', addressingMode: 'lid' },
        messageTimestamp: { low: 1710000601, high: 0, unsigned: true } },
      { key: { remoteJid: '120363041234567890@g.us', participant: '15559990002@s.whatsapp.net',
          fromMe: false, id: '3EB0000001' },
        messageTimestamp: '1710000602' }
    ],
    // Not text: free-form bytes that are printable text come back as that text.
    additionalData: { note: 'kept', blob: Buffer.from([0xff, ...randomBytes(2)]), nested: { list: [1, 'two', null, true] } },
    someFieldFromTheFuture: { a: 1, raw: randomBytes(2) }
  })
}
