// GitHub with a memory, on a free port of loopback, until this process is ended: node github.mjs '<seed>'
// Run where the modules are.
import { pathToFileURL } from 'node:url'

const { createEmulator } = await import(pathToFileURL(`${process.cwd()}/node_modules/emulate/dist/api.js`))
const { url } = await createEmulator({ service: 'github', port: 0, seed: JSON.parse(process.argv[2]) })
console.log(JSON.stringify([url]))
