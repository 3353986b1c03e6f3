// Counts by kind of message: {read: {"direct late": 7, ...}, of: {"direct late": 8, ...},
// failures: [{kind, from, text, reason}]}.

export class Report {
  read = {}
  of = {}
  failures = []

  async attempt(where, item, work) {
    const key = item.kind ? `${where} ${item.kind}` : where
    this.of[key] = (this.of[key] ?? 0) + 1
    this.read[key] ??= 0
    try {
      await work()
      this.read[key] += 1
    } catch (error) {
      this.failed(key, item, error)
    }
  }

  failed(kind, { text, name, jid, group }, error) {
    this.failures.push({ kind, from: group ?? jid ?? name, text, reason: error.message })
  }
}
