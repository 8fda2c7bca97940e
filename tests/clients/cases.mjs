// Runs a script's cases, each by itself, and prints as one line of JSON what came of them.

import { readFile } from "node:fs/promises";

/**
 * @param {string} client the package
 * @param {Record<string, () => Promise<void> | void>} cases a case fails by throwing
 * @param {Record<string, () => Promise<void> | void>} tools those that need a server that takes tools of the client's
 */
export async function main(client, cases, tools) {
  const wanted = process.argv.slice(2);
  const passed = [];
  const failed = {};
  const withTools = "CLAUDE_EXEC_TEST_TOOLS" in process.env;
  for (const [name, run] of Object.entries(withTools ? { ...cases, ...tools } : cases)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    try {
      await run();
      passed.push(name);
    } catch (error) {
      failed[name] = error?.stack ?? String(error);
    }
  }
  const manifest = new URL(`./node_modules/${client}/package.json`, import.meta.url);
  const { version } = JSON.parse(await readFile(manifest, "utf8"));
  const left_out = withTools ? [] : Object.keys(tools);
  console.log(JSON.stringify({ client, version, passed, failed, left_out }));
}
