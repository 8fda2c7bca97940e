// Runs the browser suite and says of each case, as a line of JSON, whether it passed.
//
//   node run.mjs [--page DIR] [--only PART]   DIR: the page's files as the crate serves them, with their assets.json

import { parseArgs } from 'node:util';
import { Lane, launch } from './support/browser.mjs';

const { values } = parseArgs({ options: { page: { type: 'string' }, only: { type: 'string' }, files: { type: 'string' } } });
globalThis.pageDirectory = values.page ?? null;
/** Two cores, and a part of each case is waiting. */
const AT_ONCE = Number(process.env.AT_ONCE ?? 4);
const CASE_MS = 120000;
const FILES = (values.files ?? 'first,tools,faults,power,sessions,keyboard,hostile,states').split(',');

let failed = 0;
const tell = (name, ok, detail) => {
  console.log(JSON.stringify({ case: name, ok, ...(detail && { detail }) }));
  if (!ok) failed += 1;
};

/** A real browser beside a compiler now and then misses its moment: a case that fails is tried once more, and says so. */
async function attempt(lane, one) {
  const first = await once(lane, one);
  if (!first.ok) await lane.renew();
  const last = first.ok ? first : await once(lane, one);
  const detail = !first.ok && last.ok ? `at the second try; at the first: ${first.detail}` : last.detail;
  tell(one.name, last.ok, detail);
}

async function once(lane, one) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${CASE_MS} ms`)), CASE_MS);
  });
  try {
    const said = await Promise.race([one.run(lane), late]);
    return { ok: true, detail: typeof said === 'string' ? said : undefined };
  } catch (error) {
    return { ok: false, detail: String(error.message ?? error).slice(0, 4000) };
  } finally {
    clearTimeout(timer);
  }
}

const browser = await launch();
const all = (await Promise.all(FILES.map((file) => import(`./cases/${file}.mjs`)))).flatMap(({ cases }) => cases);
const queue = all.filter((one) => !values.only || one.name.includes(values.only));
const lanes = Array.from({ length: AT_ONCE }, () => new Lane(browser));
for (const one of queue.filter((other) => other.alone)) await attempt(lanes[0], one);
const rest = queue.filter((one) => !one.alone);
await Promise.all(lanes.map(async (lane) => {
  for (let one = rest.shift(); one; one = rest.shift()) await attempt(lane, one);
}));
await Promise.race([browser.close(), new Promise((done) => setTimeout(done, 3000))]);
process.exit(failed ? 1 : 0);
