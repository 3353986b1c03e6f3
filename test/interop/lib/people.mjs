// Who takes part: the account under test and the people it has talked with.

import { join } from 'node:path'
import { Account } from './account.mjs'

export const self = { id: '15551230001:7@s.whatsapp.net', lid: '900000000001:7@lid', name: 'Zoë 🦊' }

export const peers = {
  alice: '15559990002@s.whatsapp.net',
  bob: '15557770003@s.whatsapp.net',
  carol: '15558880004@s.whatsapp.net',
  dave: '15556660005:4@s.whatsapp.net',
  erin: '15554440006@s.whatsapp.net',
  frank: '15553330007@s.whatsapp.net',
  gina: '15552220008@s.whatsapp.net'
}

/** Frank is known under this LID, so version 7 keeps his session under it. */
export const frankLid = '900000000007@lid'

export const groups = ['120363041234567890@g.us', '14156521415-1397622199@g.us']

/** Where only versions with lists of states talk. */
export const youngGroup = '120363049999999999@g.us'

/** Opens every peer's own directory below `dir`, by name. */
export async function openPeers(version, dir) {
  const opened = {}
  for (const [name, jid] of Object.entries(peers)) {
    const peer = await Account.open(version, join(dir, name))
    peer.creds.me ??= { id: jid }
    opened[name] = peer
  }
  return opened
}
