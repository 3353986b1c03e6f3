// Versions of Baileys before 6.7.19 and 6.17.16, behind the names of later ones.

import { createRequire } from 'node:module'

const here = createRequire(import.meta.url)

/** Everything the scripts use of an older version, installed under `alias`. */
export function loadOlder(alias) {
  const main = here(alias)
  return {
    ...main,
    makeLibSignalRepository: repositoryOf(alias, main),
    isOlder: true,
    hasLids: false
  }
}

function repositoryOf(alias, main) {
  try {
    return here(`${alias}/lib/Signal/libsignal.js`).makeLibSignalRepository
  } catch {
    return (auth) => repositoryOfFunctions(alias, main, auth)
  }
}

// 4.4, 5.0 and whaileys have functions where later versions have a repository.
function repositoryOfFunctions(alias, main, auth) {
  const libsignal = createRequire(here.resolve(alias))('libsignal')
  return {
    encryptMessage: ({ jid, data }) => main.encryptSignalProto(jid, data, auth),
    decryptMessage: ({ jid, type, ciphertext }) => main.decryptSignalProto(jid, type, ciphertext, auth),
    decryptGroupMessage: ({ group, authorJid, msg }) => main.decryptGroupSignalProto(group, authorJid, msg, auth),
    processSenderKeyDistributionMessage: ({ item, authorJid }) => main.processSenderKeyMessage(authorJid, item, auth),
    async encryptGroupMessage({ group, meId, data }) {
      const sent = await main.encryptSenderKeyMsgSignalProto(group, data, meId, auth)
      return { ciphertext: sent.ciphertext, senderKeyDistributionMessage: sent.senderKeyDistributionMessageKey }
    },
    async injectE2ESession({ jid, session }) {
      const address = main.jidToSignalProtocolAddress(jid)
      await new libsignal.SessionBuilder(main.signalStorage(auth), address).initOutgoing(session)
    }
  }
}
