// Everything without a pointer: the order of the focus, every preset, every confirm, every card.
import assert from 'node:assert/strict';
import { eventually, scene, text, until, word } from '../support/browser.mjs';
import * as scenes from '../support/scenes.mjs';

const focused = (page) => page.evaluate(() => {
  const element = document.activeElement;
  return element.id || element.textContent.trim();
});

/** Presses Tab until `wanted` has the focus. */
async function tabTo(page, wanted) {
  const seen = [];
  for (let step = 0; step < 40; step += 1) {
    await page.keyboard.press('Tab');
    const now = await focused(page);
    if (now === wanted || now.startsWith(wanted)) return;
    seen.push(now.slice(0, 40));
  }
  throw new Error(`${wanted} is not reached: ${seen.join(', ')}`);
}

/** The focus is seen: something is drawn around it. */
const outlined = (page) => page.evaluate(() => {
  const own = getComputedStyle(document.activeElement);
  const around = document.activeElement.closest('.field, .chip');
  return own.outlineStyle !== 'none' || (around && getComputedStyle(around).outlineStyle !== 'none');
});

export const cases = [
  {
    name: 'keyboard focus goes from the skip link to the composer in order, and is seen',
    run: (browser) => scene(browser, { before: (server) => scenes.report(server.session({ name: 'One' })) }, async ({ page }) => {
      await word(page, 'Live');
      const order = [];
      for (let step = 0; step < 30; step += 1) {
        await page.keyboard.press('Tab');
        const now = await focused(page);
        if (step > 0 && now.startsWith('Skip')) break;
        order.push(now);
        assert.ok(await outlined(page), now);
      }
      const places = ['Skip to the prompt', 'link', 'session', 'power-open', 'vm-refresh', 'log', 'Triage', 'By hand…', 'prompt', 'send'].map((wanted) => order.findIndex((now) => now.startsWith(wanted)));
      assert.ok(places.every((place, index) => place >= 0 && (index === 0 || place > places[index - 1])), `${places} of ${order}`);
    }),
  },
  {
    name: 'keyboard focus and edges are seen in forced colours, too',
    run: (browser) => scene(browser, { before: (server) => { const s = server.session(); scenes.running(s); scenes.approval(s); } }, async ({ page }) => {
      await page.waitForSelector('.card');
      await page.emulateMedia({ forcedColors: 'active' });
      const edgeless = await page.evaluate(() => [...document.querySelectorAll('.button:not(.bare), .pill, .card, .field')]
        .filter((one) => one.checkVisibility() && getComputedStyle(one).borderStyle === 'none').map((one) => one.id || one.className));
      assert.deepEqual(edgeless.filter((one) => one !== 'link'), []);
      await tabTo(page, 'Allow once');
      assert.ok(await outlined(page));
    }),
  },
  {
    name: 'keyboard sends every preset',
    run: (browser) => scene(browser, {}, async ({ page, server }) => {
      server.onPrompt = (session) => scenes.done(session, 'Looked.');
      const prompts = () => server.requests.filter((one) => one.path.endsWith('/turns'));
      const names = ['Triage', 'Memory / OOM', 'Disk', 'Services', 'QEMU wedged?'];
      for (const [index, name] of names.entries()) {
        await until(page, () => !document.getElementById('presets').hidden);
        await page.evaluate(() => document.activeElement.blur());
        await tabTo(page, name);
        await page.keyboard.press('Enter');
        await eventually(`${name} sent`, () => prompts().length === index + 1);
        await until(page, (count) => document.querySelectorAll('.end').length === count, index + 1);
      }
      const sent = prompts().map((one) => one.body.prompt);
      assert.equal(new Set(sent).size, 5);
      assert.ok(sent.every((prompt) => prompt.length > 100));
      assert.equal(new Set(prompts().map((one) => one.headers['idempotency-key'])).size, 5);
    }),
  },
  ...['Start', 'Reset', 'Stop', 'Cycle'].map((verb) => ({
    name: `keyboard confirms ${verb}`,
    run: (browser) => scene(browser, {}, async ({ page, server }) => {
      await tabTo(page, 'power-open');
      await page.keyboard.press('Enter');
      await page.waitForSelector('#power[open]');
      await tabTo(page, verb);
      await page.keyboard.press('Enter');
      assert.equal(await focused(page), 'Cancel');
      await page.keyboard.press('Shift+Tab');
      await page.keyboard.press('ArrowUp'); // a group of radio buttons is one stop
      await page.waitForSelector('#power .nonce');
      if (verb === 'Start') {
        await tabTo(page, 'Start VM 102');
        await page.keyboard.press('Enter');
      } else {
        await tabTo(page, 'phrase');
        await page.keyboard.type('102');
        await page.keyboard.press('Enter');
      }
      await page.waitForSelector('#power .outcome:not(.working)');
      assert.deepEqual(server.commits.map((one) => one.verb), [verb.toLowerCase()]);
      await page.keyboard.press('Escape');
      assert.equal(await focused(page), 'power-open');
    }),
  })),
  {
    name: 'keyboard holds the hold button, too',
    run: (browser) => scene(browser, {}, async ({ page, server }) => {
      const { confirming } = await import('../support/states.mjs');
      await confirming(page, 'Stop');
      await page.focus('.hold');
      await page.keyboard.press('Enter');
      assert.equal(server.commits.length, 0);
      await page.keyboard.down('Space');
      await page.waitForSelector('#power .outcome:not(.working)');
      await page.keyboard.up('Space');
      assert.equal(server.commits.length, 1);
    }),
  },
  {
    name: 'keyboard U5 focus stays in the sheet, and what is behind it is inert',
    run: (browser) => scene(browser, {}, async ({ page }) => {
      await page.click('#power-open');
      for (let step = 0; step < 14; step += 1) {
        await page.keyboard.press('Tab');
        const inside = await page.evaluate(() => document.activeElement === document.body || document.getElementById('power').contains(document.activeElement));
        assert.ok(inside, await focused(page));
      }
      await page.keyboard.press('Escape');
      await until(page, () => !document.getElementById('power').open);
      assert.equal(await page.locator('#power button:visible').count(), 0);
    }),
  },
  {
    name: 'keyboard decides an approval: once, for the session, and no with a reason',
    run: (browser) => scene(browser, { before: (server) => { const s = server.session(); scenes.running(s); scenes.approval(s); } }, async ({ page, server }) => {
      const [session] = server.sessions.values();
      const decided = () => server.requests.filter((one) => one.path.includes('/approvals/'));
      const again = (id) => session.emit('approval', { approval: id, kind: 'tool', tool: 'Bash', command: `reboot ${id}`, rule: 'Bash(reboot *)', input: {}, expires_at: Date.now() + 60000 });
      await page.waitForSelector('.card');
      await tabTo(page, 'Allow once');
      await page.keyboard.press('Enter');
      await eventually('one', () => decided().length === 1);
      again('a3');
      await page.waitForSelector('.card:has-text("reboot a3")');
      await until(page, () => document.querySelectorAll('.card').length === 1);
      await tabTo(page, 'Allow for this session');
      await page.keyboard.press('Space');
      await eventually('two', () => decided().length === 2);
      again('a4');
      await page.waitForSelector('.card:has-text("reboot a4")');
      await until(page, () => document.querySelectorAll('.card').length === 1);
      await tabTo(page, 'Refuse');
      await page.keyboard.press('Enter');
      await page.keyboard.type('Not at noon');
      await page.keyboard.press('Enter');
      await eventually('three', () => decided().length === 3);
      assert.deepEqual(decided().map((one) => [one.path.split('/').at(-1), one.body]), [
        ['a1', { decision: 'allow_once' }], ['a3', { decision: 'allow_session' }], ['a4', { decision: 'deny', reason: 'Not at noon' }],
      ]);
      await until(page, () => document.body.innerText.includes('Refused by sam: Not at noon'));
      assert.equal(await page.locator('.card').count(), 0);
    }),
  },
  {
    name: 'keyboard U5 the whole page at 200 % and with the pinch left alone',
    run: (browser) => scene(browser, { viewport: { width: 195, height: 422 } }, async ({ page }) => {
      const viewport = await page.locator('meta[name=viewport]').getAttribute('content');
      assert.ok(!/user-scalable|maximum-scale/.test(viewport), viewport);
      await page.fill('#prompt', 'x');
      assert.ok(await page.locator('#send').isVisible());
      assert.equal(await text(page, '#power-open'), 'Power');
    }),
  },
];
