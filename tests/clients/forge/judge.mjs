// Prism before services, as a judge that lets everything pass: what an OpenAPI description does not allow is told.
//   node judge.mjs '[{"description": "<file>", "upstream": "http://…"}, …]'
// The first line of output has the addresses, in the same order; each further line is one violation or failure.
import { createRequire } from 'node:module'
const require = createRequire(`${process.cwd()}/`)
const { getHttpOperationsFromSpec } = require('@stoplight/prism-http')
const { createServer } = require('@stoplight/prism-http-server')

const Ajv = require('ajv/dist/core').default

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
const silent = () => {}
// Prism takes a schema that cannot be read for one that allows everything, and says nothing.
const { compile } = Ajv.prototype
Ajv.prototype.compile = function (...args) {
  try {
    return compile.apply(this, args)
  } catch (error) {
    tell({ service: null, text: `a schema cannot be read: ${error}` })
    throw error
  }
}
const addresses = []
for (const [service, { description, upstream }] of JSON.parse(process.argv[2]).entries()) {
  const operations = await getHttpOperationsFromSpec(description)
  const logger = { trace: silent, debug: silent, info: silent, success: silent }
  // "Violation: request.body …", "Violation: response.header …", "Request terminated with error: …".
  logger.error = logger.warn = (_, text) => tell({ service, text })
  logger.child = () => logger
  const config = {
    isProxy: true, upstream: new URL(upstream), checkSecurity: false, validateRequest: true, validateResponse: true,
    errors: false, mock: { dynamic: false },
  }
  const server = createServer(operations, { cors: false, config, components: { logger } })
  addresses.push(await server.listen(0, '127.0.0.1'))
}
tell(addresses)
