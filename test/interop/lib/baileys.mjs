// One of the installed Baileys versions, by the version its package name is pinned to.

import { readFile } from 'node:fs/promises'

import { loadOlder } from './older.mjs'

// Read and write group keys as a list of states.
const older = ['4.4.0', '5.0.0', '6.0.0', '6.4.1', '6.7.18', '6.17.16', 'whaileys-6.4.9']

const silent = () => {}

/** A logger that Baileys accepts and that says nothing. */
export const logger = {
  level: 'silent', trace: silent, debug: silent, info: silent, warn: silent, error: silent,
  fatal: silent, child: () => logger
}

/** Everything the scripts use of Baileys `version`, such as "7.0.0-rc14". */
export async function loadBaileys(version) {
  const alias = await aliasOf(version)
  if (older.includes(version)) return loadOlder(alias)
  // One after the other: Baileys' modules import each other in a circle that bears only this order.
  const main = await import(alias)
  const signal = await import(`${alias}/lib/Signal/libsignal.js`)
  const senderKeys = await import(`${alias}/lib/Signal/Group/sender-key-record.js`)
  return {
    ...main,
    makeLibSignalRepository: signal.makeLibSignalRepository,
    SenderKeyRecord: senderKeys.SenderKeyRecord,
    // Device lists, LID mappings, tokens and identity keys came with version 7.
    hasLids: !version.startsWith('6.')
  }
}

async function aliasOf(version) {
  const { dependencies } = JSON.parse(await readFile(new URL('../package.json', import.meta.url)))
  const [, fork, number] = /^(?:([a-z]+)-)?(.*)$/.exec(version)
  const isIt = (spec) => spec.endsWith(`${fork ?? 'baileys'}@${number}`)
  const found = Object.entries(dependencies).find(([, spec]) => isIt(spec))
  if (!found) throw new Error(`Baileys ${version} is not a dependency of test/interop`)
  return found[0]
}
