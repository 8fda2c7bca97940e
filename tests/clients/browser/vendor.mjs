// Makes page/vendor/marked-lexer.js: the lexer of the npm package `marked`, from the sources that the package carries
// in its source map, and nothing else of it. `node vendor.mjs write` writes the file; without `write` it is compared.
import { createHash } from 'node:crypto';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const modules = process.env.CLAUDE_EXEC_TEST_BROWSER ?? join(process.env.HOME, '.cache/claude-exec-tests/browser');
const require = createRequire(join(modules, 'package.json'));
const { buildSync } = require('esbuild');
const packageRoot = join(modules, 'node_modules/marked');
const vendor = new URL('../../../claude-exec-breakglass/page/vendor/', import.meta.url).pathname;
const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8'));

const map = JSON.parse(readFileSync(join(packageRoot, 'lib/marked.esm.js.map'), 'utf8'));
const root = mkdtempSync(join(tmpdir(), 'marked-'));
try {
  map.sources.forEach((source, index) => {
    const path = join(root, source.replace(/^(\.\.\/)+/, ''));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, map.sourcesContent[index]);
  });
  const entry = join(root, 'entry.ts');
  writeFileSync(entry, "export { _Lexer as Lexer } from './src/Lexer.ts';\n");
  const banner = `// marked ${version}, its lexer, MIT: /licences/marked.txt`;
  const built = buildSync({ entryPoints: [entry], bundle: true, minify: true, format: 'esm', target: 'es2022', write: false, banner: { js: banner } });
  const made = built.outputFiles[0].text;
  const path = join(vendor, 'marked-lexer.js');
  const note = readFileSync(join(vendor, 'README.txt'), 'utf8');
  if (process.argv[2] === 'write') writeFileSync(path, made);
  const hash = (text) => createHash('sha256').update(text).digest('hex');
  const problems = [];
  if (readFileSync(path, 'utf8') !== made) problems.push('marked-lexer.js is not what marked and esbuild make');
  for (const [name, text] of [['marked-lexer.js', made], ['marked.esm.js.map', readFileSync(join(packageRoot, 'lib/marked.esm.js.map'))], ['marked.LICENSE', readFileSync(join(packageRoot, 'LICENSE'))]]) {
    if (!note.includes(hash(text))) problems.push(`README.txt does not have the hash of ${name}: ${hash(text)}`);
  }
  if (readFileSync(join(vendor, 'marked.LICENSE'), 'utf8') !== readFileSync(join(packageRoot, 'LICENSE'), 'utf8')) problems.push('marked.LICENSE differs');
  if (problems.length) {
    console.error(problems.join('\n'));
    process.exitCode = 1;
  } else console.log(JSON.stringify({ case: `vendored lexer is marked ${version}`, ok: true }));
} finally {
  rmSync(root, { recursive: true, force: true });
}
