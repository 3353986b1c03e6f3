// What every script does around its work: one JSON value on stdout, nothing else, and a failure
// that names the script. libsignal prints whole sessions with its warnings, so its console is shut.

const silent = () => {}
for (const name of ['debug', 'info', 'log', 'trace', 'warn', 'error']) console[name] = silent

/** Runs `work` with the command line's arguments and prints what it returns as JSON. */
export async function run(usage, work) {
  const args = process.argv.slice(2)
  try {
    if (args.length < usage.split(' ').filter((word) => word.startsWith('<')).length) {
      throw new Error(`usage: ${usage}`)
    }
    const report = await work(...args)
    process.stdout.write(JSON.stringify(report) + '\n')
  } catch (error) {
    process.stderr.write(`${error.stack ?? error}\n`)
    process.exitCode = 1
  }
}
