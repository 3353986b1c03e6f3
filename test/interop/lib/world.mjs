// A world is a directory that `make.mjs` fills:
//   account/       the auth directory under test, as Baileys wrote it
//   peers/<name>/  the auth directories of the people it talks with
//   pending.json   what was sent to the account and has not arrived: {version, direct, group, patches}

import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { copySession, isDirectory } from './stores.mjs'

export const accountDir = (world) => join(world, 'account')
export const peersDir = (world) => join(world, 'peers')
const pendingFile = (world) => join(world, 'pending.json')

export async function savePending(world, pending) {
  await writeFile(pendingFile(world), JSON.stringify(pending, null, 1))
}

export async function loadPending(world) {
  return JSON.parse(await readFile(pendingFile(world), 'utf8'))
}

/** Runs `work` on a fresh copy of `dir`, or of a session of a store, so that itself is never written. */
export async function withCopy(dir, work) {
  if (!isDirectory(dir)) return withCopyOfSession(dir, work)
  const root = await mkdtemp(join(tmpdir(), 'baileys-interop-'))
  try {
    const copy = join(root, 'copy')
    await cp(dir, copy, { recursive: true })
    return await work(copy)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

async function withCopyOfSession(place, work) {
  const copy = await copySession(place)
  try {
    return await work(copy.place)
  } finally {
    await copy.remove()
  }
}
