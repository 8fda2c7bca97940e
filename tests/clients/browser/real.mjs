// The page on the real server: `node real.mjs URL KEY`, against `server --role breakglass --demo`. A person signs in,
// asks, allows, refuses, and power-cycles the VM; the same page in a second tab sees all of it.
import assert from 'node:assert/strict';
import { axe, launch, PHONE, text, until, word } from './support/browser.mjs';
import { confirming, typeIt } from './support/states.mjs';

const [url, key] = process.argv.slice(2);
const has = (page, wanted) => until(page, (words) => document.body.innerText.includes(words), wanted);
const idle = (page) => until(page, () => !document.getElementById('send').hidden);
const say = (name, detail) => console.log(JSON.stringify({ case: `real ${name}`, ok: true, ...(detail && { detail }) }));

const browser = await launch();
const context = await browser.newContext({ viewport: PHONE });
const wrong = [];
context.on('page', (page) => {
  page.setDefaultTimeout(30000);
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) wrong.push(message.text());
  });
});

async function open() {
  const page = await context.newPage();
  await page.goto(url);
  await page.fill('#key', key);
  await page.keyboard.press('Enter');
  return page;
}

/** Allows what is asked until the turn is over; says what was allowed. */
async function allowAll(page) {
  const allowed = [];
  for (;;) {
    await until(page, () => document.querySelector('.card') || !document.getElementById('send').hidden);
    if (!(await page.locator('.card').count())) return allowed;
    allowed.push(await text(page, '.card pre'));
    await page.click('.card button:has-text("Allow once")');
    await until(page, (count) => document.querySelectorAll('.decided').length === count, allowed.length);
  }
}

const page = await open();
await until(page, () => /running|stopped/.test(document.getElementById('vm-word').textContent));
say('signs in with a key, and sees the VM', await text(page, '#vm-word'));

await page.click('#presets button:has-text("Memory")');
await word(page, 'Live');
const other = await open();
await word(other, 'Live');
const allowed = await allowAll(page);
assert.ok(allowed.length >= 1, String(allowed));
await idle(page);
for (const tab of [page, other]) await until(tab, () => document.querySelectorAll('.end').length === 1);
assert.deepEqual(await axe(page), []);
say('asks, allows, and reads the answer in two tabs', `${allowed.length} commands allowed`);

await page.fill('#prompt', 'Look again, please.');
await page.click('#send');
await page.waitForSelector('.card');
await page.click('.card button:has-text("Refuse")');
await page.keyboard.type('Not now');
await page.keyboard.press('Enter');
await has(page, 'Not now');
await allowAll(page);
await idle(page);
say('refuses with a reason');

await page.fill('#prompt', 'Look once more.');
await page.click('#send');
await page.waitForSelector('.card');
await page.click('#stop');
await has(page, 'Stopped');
await idle(page);
say('stops a turn that asks');

await confirming(page, 'Cycle');
await typeIt(page);
await page.waitForSelector('#power .outcome:not(.working)');
const outcome = await text(page, '#power .outcome h2');
assert.equal(outcome, 'Verified running again');
await page.keyboard.press('Escape');
say('power-cycles the VM', outcome);

await page.click('#presets button:has-text("QEMU wedged")').catch(async () => page.locator('#presets button:has-text("QEMU wedged")').scrollIntoViewIfNeeded());
await page.waitForSelector('.card[data-tone=danger]');
await page.click('button:has-text("Review and confirm")');
await page.waitForSelector('#phrase');
await typeIt(page);
await page.waitForSelector('#power .outcome:not(.working)');
await page.keyboard.press('Escape');
await idle(page);
assert.ok((await text(page, '#items')).includes('Verified'), 'the card shows what came of it');
say('confirms a verb that Claude asked for');

await page.reload();
await word(page, 'Live');
await until(page, () => document.querySelectorAll('.end').length === 4);
say('has all of it again after a reload');

assert.deepEqual(wrong, []);
process.exit(0);
