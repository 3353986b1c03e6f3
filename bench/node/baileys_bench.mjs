// Times Baileys' own auth state, one command per line of stdin, one answer per line of stdout, so that
// a benchmark can alternate between it and the other side within one run:
//
//   {"op": "keys.set", "dir": DIR, "changes": FILE}          FILE holds {type: {id: value}}, bytes as Baileys
//                                                            writes them
//   {"op": "keys.get", "dir": DIR, "type": TYPE, "ids": IDS}
//   {"op": "creds.read", "dir": DIR}
//   {"op": "creds.save", "dir": DIR}
//
// Each takes "iterations" (default 1).
// Answer: {"op": OP, "ns": per iteration}, or {"op": OP, "error": TEXT}.
// Baileys syncs nothing to the disk. The packages are those of test/interop (`npm ci` there).

import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const version = process.argv[2] ?? '7.0.0-rc14'
const { loadBaileys } = await import(new URL('../../test/interop/lib/baileys.mjs', import.meta.url))
const { useMultiFileAuthState, BufferJSON } = await loadBaileys(version)

const operations = {
  'keys.set': async ({ dir, changes }) => {
    const { state } = await useMultiFileAuthState(dir)
    const data = await readChanges(changes)
    return () => state.keys.set(data)
  },
  'keys.get': async ({ dir, type, ids }) => {
    const { state } = await useMultiFileAuthState(dir)
    const found = await state.keys.get(type, ids)
    const missing = ids.filter((id) => !found[id])
    if (missing.length) throw new Error(`no ${type} ${missing.join(', ')} in ${dir}`)
    return () => state.keys.get(type, ids)
  },
  'creds.read': async ({ dir }) => {
    await access(join(dir, 'creds.json'))
    return () => useMultiFileAuthState(dir)
  },
  'creds.save': async ({ dir }) => {
    await access(join(dir, 'creds.json'))
    const { saveCreds } = await useMultiFileAuthState(dir)
    return saveCreds
  }
}

const changesByFile = new Map()

async function readChanges(file) {
  if (!changesByFile.has(file)) {
    changesByFile.set(file, JSON.parse(await readFile(file, 'utf8'), BufferJSON.reviver))
  }
  return changesByFile.get(file)
}

async function time(work, { iterations = 1 }) {
  const start = process.hrtime.bigint()
  for (let n = 0; n < iterations; n++) await work()
  return Math.round(Number(process.hrtime.bigint() - start) / iterations)
}

async function answer(line) {
  let op
  try {
    const command = JSON.parse(line)
    op = command.op
    if (!Object.hasOwn(operations, op)) throw new Error(`unknown op, expected ${Object.keys(operations).join(', ')}`)
    return { op, ns: await time(await operations[op](command), command) }
  } catch (error) {
    return { op, error: error.message }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim()) process.stdout.write(JSON.stringify(await answer(line)) + '\n')
}
