// The machine's part works alone, sends a verb once, and never shows an outcome that nobody knows as one that is known.
import assert from 'node:assert/strict';
import { eventually, scene, text, until } from '../support/browser.mjs';
import { confirming, typeIt } from '../support/states.mjs';
import * as scenes from '../support/scenes.mjs';

const shown = (page) => text(page, '#power .outcome h2');
const ended = (page) => page.waitForSelector('#power .outcome:not(.working)');

/** Holds the button as a finger does. */
async function hold(page, ms) {
  const box = await page.locator('.hold').boundingBox();
  await page.mouse.move(box.x + 40, box.y + 20);
  await page.mouse.down();
  await page.waitForTimeout(ms);
  await page.mouse.up();
}

/** @param {[string, any, string, string][]} table Name, what the server does, the verb, the word shown. */
const outcomes = [
  ['verified', { outcome: 'verified' }, 'Stop', 'Verified stopped'],
  ['verified start', { outcome: 'verified' }, 'Start', 'Verified running'],
  ['sent', { outcome: 'sent_not_verified' }, 'Reset', 'Sent, not verified'],
  ['requested of HA', { outcome: 'requested' }, 'Cycle', 'Requested'],
  ['refused', { outcome: 'refused', detail: 'locked' }, 'Stop', 'Refused'],
  ['failed half way', { outcome: 'failed', detail: 'stopped, and not started' }, 'Cycle', 'Failed'],
  ['never left', { outcome: 'not_sent' }, 'Reset', 'Not sent'],
  ['U3 a timeout', { outcome: 'unknown', rc: null }, 'Cycle', 'Outcome unknown'],
  ['an outcome of a later version', { outcome: 'perhaps' }, 'Cycle', 'Outcome unknown'],
  ['U3 signed out in between', { refuse: 401, detail: 'unauthenticated' }, 'Reset', 'Refused'],
  ['state changed', { refuse: 409, code: 'changed', detail: 'state changed, look again: the VM is stopped now' }, 'Stop', 'Refused'],
  ['another verb runs', { refuse: 409, code: 'busy', detail: 'busy: cycle of kim has not ended' }, 'Stop', 'Refused'],
  ['too many', { refuse: 429, code: 'too_many', detail: '10 verbs in 5 minutes' }, 'Stop', 'Refused'],
  ['the host cannot be seen', { refuse: 502, code: 'not_seen', detail: 'the VM cannot be seen' }, 'Stop', 'Refused'],
];

export const cases = [
  ...outcomes.map(([name, next, verb, expected]) => ({
    name: `power outcome: ${name}`,
    run: (browser) => scene(browser, {}, async ({ page, server }) => {
      server.outcomes = [next];
      await confirming(page, verb);
      if (verb === 'Start') await page.click('#power button.primary');
      else await typeIt(page);
      await ended(page);
      assert.equal(await shown(page), expected);
      // Green is for what was seen, and nothing else.
      const tone = await page.locator('#power .outcome').getAttribute('data-tone');
      assert.equal(tone, expected.startsWith('Verified') ? 'live' : 'wait');
      assert.ok((await text(page, '#alert')).includes(expected));
      assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H2');
    }),
  })),
  {
    name: 'power with the stream, the sessions and the model all down',
    run: (browser) => scene(browser, { before: (server) => {
      server.faults.api = (request) => (request.path.startsWith('/api/pve/') ? null : 503);
    } }, async ({ page, server }) => {
      await until(page, () => document.getElementById('vm-word').textContent === 'running');
      assert.equal(await text(page, '#vm-uptime'), '3 d 4 h');
      await confirming(page, 'Cycle');
      await typeIt(page);
      await ended(page);
      assert.equal(await shown(page), 'Verified running again');
      assert.deepEqual(server.commits.map(({ verb, reason, phrase }) => [verb, reason, phrase]), [['cycle', 'Unresponsive', '102']]);
    }),
  },
  {
    name: 'power confirmed by a hold of 1.2 s, not by less, and once',
    run: (browser) => scene(browser, {}, async ({ page, server }) => {
      await confirming(page, 'Stop');
      await hold(page, 300);
      await page.click('.hold');
      assert.equal(await page.evaluate(() => document.activeElement.classList.contains('hold')), true);
      assert.equal(server.commits.length, 0);
      await hold(page, 1600);
      await ended(page);
      assert.equal(server.commits.length, 1);
      assert.ok(server.commits[0].key.length >= 16);
    }),
  },
  {
    name: 'power confirmed by nobody who only clicks: voice control lands in the field',
    run: (browser) => scene(browser, {}, async ({ page, server }) => {
      await confirming(page, 'Stop');
      await page.evaluate(() => document.querySelector('.hold').click());
      assert.equal(await page.evaluate(() => document.activeElement.id), 'phrase');
      assert.equal(server.commits.length, 0);
    }),
  },
  {
    name: 'power not confirmed by a wrong VMID',
    run: (browser) => scene(browser, {}, async ({ page, server }) => {
      await confirming(page, 'Reset');
      await page.fill('#phrase', '103');
      assert.equal(await page.locator('#power .typed button.danger').isDisabled(), true);
      await page.press('#phrase', 'Enter');
      assert.equal(server.commits.length, 0);
    }),
  },
  {
    name: 'power answer lost on the way: followed, never sent again',
    run: (browser) => scene(browser, {}, async ({ page, server }) => {
      server.outcomes = [{ outcome: 'verified', held: true, lost: true, step: 'stopped' }];
      await confirming(page, 'Cycle');
      await typeIt(page);
      await until(page, () => document.body.innerText.includes('The host is at: stopped'));
      server.release();
      await ended(page);
      assert.equal(await shown(page), 'Verified running again');
      // Chromium itself repeats a POST when a kept connection closes before any answer: the key makes it one verb.
      const keys = server.requests.filter((one) => one.path === '/api/pve/commit').map((one) => one.headers['idempotency-key']);
      assert.deepEqual([server.commits.length, new Set(keys).size], [1, 1]);
    }),
  },
  {
    name: 'power request that never arrived: not sent, and not sent again',
    run: (browser) => scene(browser, {}, async ({ page, server }) => {
      server.unreachable = true;
      await confirming(page, 'Reset');
      await typeIt(page);
      await ended(page);
      assert.equal(await shown(page), 'Not sent');
      assert.equal(server.commits.length, 0);
    }),
  },
  {
    name: 'power while the network is gone: says so, and follows when it is back',
    run: (browser) => scene(browser, { own: true }, async ({ page, server, context }) => {
      server.outcomes = [{ outcome: 'verified', held: true }];
      await confirming(page, 'Stop');
      await typeIt(page);
      await eventually('committed', () => server.commits.length === 1);
      await context.setOffline(true);
      await until(page, () => document.body.innerText.includes('Asking again what became of it'));
      server.release();
      await context.setOffline(false);
      await ended(page);
      assert.equal(await shown(page), 'Verified stopped');
      assert.equal(server.commits.length, 1);
    }),
  },
  {
    name: 'power goes on when its sheet is closed, and its outcome is kept',
    run: (browser) => scene(browser, {}, async ({ page, server }) => {
      server.outcomes = [{ outcome: 'verified', held: true }];
      await confirming(page, 'Stop');
      await typeIt(page);
      await eventually('committed', () => server.commits.length === 1);
      await page.keyboard.press('Escape');
      server.release();
      await until(page, () => document.getElementById('alert').textContent.includes('Verified stopped'));
      await page.click('#power-open');
      assert.equal(await shown(page), 'Verified stopped');
    }),
  },
  {
    name: 'power verb of another person can be followed',
    run: (browser) => scene(browser, { before: (server) => server.begin('n-1', { verb: 'cycle', reason: 'x' }, { outcome: 'verified', held: true }) }, async ({ page, server }) => {
      await page.click('#power-open');
      await page.click('button:has-text("Follow cycle")');
      server.release();
      await ended(page);
      assert.equal(await shown(page), 'Verified running again');
      assert.equal(server.commits.length, 0);
    }),
  },
  {
    name: 'power asked for by Claude: the same two steps, on the card’s route',
    run: (browser) => scene(browser, { before: (server) => { const s = server.session(); scenes.running(s); scenes.powerCard(s); } }, async ({ page, server }) => {
      await page.click('button:has-text("Review and confirm")');
      await until(page, () => document.getElementById('power').innerText.includes('QMP does not answer'));
      await page.waitForSelector('#phrase');
      await typeIt(page);
      await ended(page);
      assert.equal(server.requests.filter((one) => one.path === '/api/pve/commit').length, 0);
      assert.deepEqual(server.commits.map(({ approval, decision, verb, reason, phrase }) => [approval, decision, verb, reason, phrase]),
        [['a2', 'allow_once', 'cycle', 'QMP does not answer and QEMU is not in D state', '102']]);
    }),
  },
  {
    name: 'power reason of one’s own',
    run: (browser) => scene(browser, {}, async ({ page, server }) => {
      await page.click('#power-open');
      await page.click('.verb:has-text("Like the reset")');
      assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Cancel');
      await page.click('.chip:has-text("Other")');
      await page.keyboard.type('Fan is on fire');
      await page.keyboard.press('Enter');
      await page.waitForSelector('#phrase');
      await typeIt(page);
      await ended(page);
      assert.equal(server.commits[0].reason, 'Fan is on fire');
    }),
  },
];
