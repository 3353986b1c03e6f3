// Times Baileys' own auth state, one command per line of stdin, one answer per line of stdout, so that
// a benchmark can alternate between it and the other side within one run:
//
//   {"op": "keys.set", "dir": DIR, "changes": FILE}          FILE holds {type: {id: value}}, bytes as Baileys
//                                                            writes them; the keys are deleted before each round
//   {"op": "keys.get", "dir": DIR, "type": TYPE, "ids": IDS}
//   {"op": "creds.read", "dir": DIR}
//   {"op": "creds.save", "dir": DIR}
//
// Each takes "rounds" (default 1) and "iterations" per round (default 1; keys.set has always one).
// Answer: {"op": OP, "median_ns": per iteration, "ns": [per round]}, or {"op": OP, "error": TEXT}.
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
    return { prepare: () => state.keys.set(deletions(data)), work: () => state.keys.set(data), once: true }
  },
  'keys.get': async ({ dir, type, ids }) => {
    const { state } = await useMultiFileAuthState(dir)
    const found = await state.keys.get(type, ids)
    const missing = ids.filter((id) => !found[id])
    if (missing.length) throw new Error(`no ${type} ${missing.join(', ')} in ${dir}`)
    return { work: () => state.keys.get(type, ids) }
  },
  'creds.read': async ({ dir }) => {
    await access(join(dir, 'creds.json'))
    return { work: () => useMultiFileAuthState(dir) }
  },
  'creds.save': async ({ dir }) => {
    await access(join(dir, 'creds.json'))
    const { saveCreds } = await useMultiFileAuthState(dir)
    return { work: saveCreds }
  }
}

const changesByFile = new Map()

async function readChanges(file) {
  if (!changesByFile.has(file)) {
    changesByFile.set(file, JSON.parse(await readFile(file, 'utf8'), BufferJSON.reviver))
  }
  return changesByFile.get(file)
}

function deletions(data) {
  const none = (keys) => Object.fromEntries(Object.keys(keys).map((id) => [id, null]))
  return Object.fromEntries(Object.entries(data).map(([type, keys]) => [type, none(keys)]))
}

async function time({ prepare, work, once }, { rounds = 1, iterations = 1 }) {
  const count = once ? 1 : iterations
  const ns = []
  for (let round = 0; round < rounds; round++) {
    await prepare?.()
    const start = process.hrtime.bigint()
    for (let n = 0; n < count; n++) await work()
    ns.push(Math.round(Number(process.hrtime.bigint() - start) / count))
  }
  return { median_ns: median(ns), ns }
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : Math.round((sorted[middle - 1] + sorted[middle]) / 2)
}

async function answer(line) {
  let op
  try {
    const command = JSON.parse(line)
    op = command.op
    if (!Object.hasOwn(operations, op)) throw new Error(`unknown op, expected ${Object.keys(operations).join(', ')}`)
    return { op, ...(await time(await operations[op](command), command)) }
  } catch (error) {
    return { op, error: error.message }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim()) process.stdout.write(JSON.stringify(await answer(line)) + '\n')
}
