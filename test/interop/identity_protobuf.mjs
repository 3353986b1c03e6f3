// The signed device identity in protobuf by Baileys' own WAProto: what it encodes of the given members,
// and what it decodes of the given bytes. All in hexadecimal; a member that is not there is null.

import { loadBaileys } from './lib/baileys.mjs'
import { run } from './lib/run.mjs'

const names = ['details', 'accountSignatureKey', 'accountSignature', 'deviceSignature']

await run('identity_protobuf.mjs <version> <members as JSON> <bytes>', async (version, members, bytes) => {
  const { proto } = await loadBaileys(version)
  const type = proto.ADVSignedDeviceIdentity
  const given = JSON.parse(members)
  const message = {}
  for (const name of names) if (given[name] !== null) message[name] = Buffer.from(given[name], 'hex')

  const decoded = type.decode(Buffer.from(bytes, 'hex'))
  const hex = (name) => Object.hasOwn(decoded, name) && decoded[name] ? Buffer.from(decoded[name]).toString('hex') : null
  return {
    encoded: Buffer.from(type.encode(message).finish()).toString('hex'),
    decoded: Object.fromEntries(names.map((name) => [name, hex(name)])),
  }
})
