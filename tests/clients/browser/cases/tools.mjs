// What needs no browser: the types of every module, their pure parts by node's own runner, and the vendored lexer.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { modules } from '../support/browser.mjs';

const here = new URL('..', import.meta.url).pathname;

function runs(program, args) {
  return new Promise((done, fail) => {
    const child = spawn(program, args, { cwd: here, env: { ...process.env, CLAUDE_EXEC_TEST_BROWSER: modules } });
    let said = '';
    child.stdout.on('data', (bytes) => { said += bytes; });
    child.stderr.on('data', (bytes) => { said += bytes; });
    child.on('error', fail);
    child.on('close', (code) => (code === 0 ? done(said) : fail(new Error(said))));
  });
}

export const cases = [
  { name: 'types of every module (tsc --checkJs)', run: async () => void (await runs(process.execPath, [join(modules, 'node_modules/typescript/bin/tsc'), '-p', join(here, 'tsconfig.json')])) },
  { name: 'vendored lexer is what its package makes', run: async () => void (await runs(process.execPath, [join(here, 'vendor.mjs')])) },
  ...readdirSync(join(here, 'unit')).filter((name) => name.endsWith('.test.mjs')).map((name) => ({
    name: `unit ${name}`,
    run: async () => {
      const said = await runs(process.execPath, ['--test', '--test-reporter=tap', join(here, 'unit', name)]);
      return `${/^# pass (\d+)/m.exec(said)?.[1] ?? 0} passed`;
    },
  })),
];
