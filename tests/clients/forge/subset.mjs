// The part of an OpenAPI description that the adapters use, so that the judge reads it in a second instead of twenty:
//   node subset.mjs <description.json> <part.json> <path prefix>…
// Paths that begin with a prefix, or are one that ends with `=`, and everything that they refer to. Two things are said
// otherwise, since Prism does not know them: `nullable` beside `oneOf` or `$ref` is another alternative, and a base path
// is part of each path.
import { readFileSync, writeFileSync } from 'node:fs'

const [from, to, ...prefixes] = process.argv.slice(2)
const whole = JSON.parse(readFileSync(from, 'utf8'))
const starts = (path) => prefixes.some((prefix) => path === prefix.replace(/=$/, '') || path.startsWith(`${prefix}/`))
const paths = Object.fromEntries(Object.entries(whole.paths).filter(([path]) => starts(path)))
const at = (pointer) => pointer.split('/').slice(1).map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
const base = whole.basePath ?? ''
const placed = Object.fromEntries(Object.entries(paths).map(([path, item]) => [base + path, item]))
const part = { ...whole, paths: placed }
if (base) part.basePath = '/'
const shared = ['components', 'definitions', 'parameters', 'responses', 'x-webhooks']
for (const name of shared) delete part[name]

const seen = new Set()
const open = [paths]
while (open.length > 0) {
  const value = open.pop()
  if (value === null || typeof value !== 'object') continue
  if (typeof value.$ref === 'string' && value.$ref.startsWith('#/') && !seen.has(value.$ref)) {
    seen.add(value.$ref)
    const names = at(value.$ref)
    const found = names.reduce((place, name) => place?.[name], whole)
    const last = names.pop()
    names.reduce((place, name) => (place[name] ??= {}), part)[last] = found
    open.push(found)
  }
  open.push(...Object.values(value))
}
const plain = (value) => {
  if (value === null || typeof value !== 'object') return
  Object.values(value).forEach(plain)
  if (value.nullable === undefined || value.type !== undefined) return
  const { nullable, ...schema } = value
  for (const name of Object.keys(value)) delete value[name]
  Object.assign(value, nullable ? { anyOf: [schema, { type: 'string', nullable: true, enum: [''] }] } : schema)
}
plain(part)
if (whole.components?.securitySchemes) (part.components ??= {}).securitySchemes = whole.components.securitySchemes
writeFileSync(to, JSON.stringify(part))
console.error(`${Object.keys(paths).length} paths, ${seen.size} shared parts`)
