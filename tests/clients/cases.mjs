// Runs a script's cases, each by itself, and prints as one line of JSON what came of them.

import { readFile } from "node:fs/promises";

/**
 * @param {string} client the package
 * @param {Record<string, () => Promise<void> | void>} cases a case fails by throwing
 */
export async function main(client, cases) {
  const wanted = process.argv.slice(2);
  const passed = [];
  const failed = {};
  for (const [name, run] of Object.entries(cases)) {
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
  console.log(JSON.stringify({ client, version, passed, failed }));
}
