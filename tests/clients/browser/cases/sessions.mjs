// Sessions, prompts and answers: what the original lost or showed wrongly (U1, U2, U4, U7), and what must not be lost.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { eventually, scene, text, until, word } from '../support/browser.mjs';
import * as scenes from '../support/scenes.mjs';

const turns = (server) => server.requests.filter((one) => one.path.endsWith('/turns'));
const has = (page, wanted) => until(page, (words) => document.body.innerText.includes(words), wanted);
const send = async (page, prompt) => {
  await page.fill('#prompt', prompt);
  await page.click('#send');
};

export const cases = [
  {
    name: 'U1 a stored session that is no more is forgotten, and not asked for again',
    run: (browser) => scene(browser, { at: null }, async ({ page, server }) => {
      await page.goto(`${server.url}/#00000000-0000-4000-8000-000000000000`);
      await has(page, 'What is wrong?');
      await page.waitForTimeout(600);
      assert.equal(server.requests.filter((one) => one.path.endsWith('/events')).length, 0);
      server.onPrompt = (session) => scenes.done(session, 'A fresh one.');
      await send(page, 'Hello');
      await has(page, 'A fresh one.');
    }),
  },
  {
    name: 'U2 a prompt to a session that is gone starts another, whose events are all shown',
    run: (browser) => scene(browser, { before: (server) => scenes.report(server.session({ name: 'Old' })) }, async ({ page, server }) => {
      await word(page, 'Live');
      server.sessions.forEach((one) => { one.deleted = true; one.drop('end'); });
      await word(page, 'Gone');
      server.onPrompt = (session) => scenes.done(session, 'From the new one.');
      await send(page, 'And now?');
      await has(page, 'From the new one.');
      const shown = await text(page, '#items');
      assert.ok(shown.includes('And now?') && !shown.includes('The root disk is full'), shown);
      await until(page, () => !document.getElementById('send').hidden);
      await word(page, 'Live');
    }),
  },
  {
    name: 'U4 the answer is shown once, tools with what came back, and what it cost',
    run: (browser) => scene(browser, { before: (server) => scenes.report(server.session()) }, async ({ page, server }) => {
      await word(page, 'Live');
      const shown = await text(page, '#items');
      assert.equal(shown.split('The root disk is full').length, 2);
      assert.ok(shown.includes('$0.0214') && shown.includes('6236 tokens') && shown.includes('12 s'), shown);
      await page.click('.fold:not(.thought) summary');
      await has(page, 'tmpfs 7.8G  1.2M');
      // The same text as streamed, and as a result: once. A result that was not streamed: once, too.
      const [session] = server.sessions.values();
      scenes.running(session);
      session.emit('delta', { block: 1, text: 'Said twice.' });
      session.emit('result', { is_error: false, result: 'Said twice.', duration_ms: 1, cost_usd: null, total_cost_usd: null, usage: null, num_turns: 1 });
      session.emit('turn_end', { state: 'done', ms: 1 });
      scenes.running(session);
      session.emit('result', { is_error: false, result: 'Said whole.', duration_ms: 1, cost_usd: null, total_cost_usd: null, usage: null, num_turns: 1 });
      session.emit('turn_end', { state: 'done', ms: 1 });
      // It is announced before it is drawn.
      await until(page, () => document.getElementById('items').textContent.includes('Said whole.'));
      const after = await text(page, '#items');
      assert.deepEqual([after.split('Said twice.').length, after.split('Said whole.').length], [2, 2]);
    }),
  },
  {
    name: 'U4 a model is picked for a session, when it begins and later',
    run: (browser) => scene(browser, {}, async ({ page, server }) => {
      await page.click('#session');
      await page.click('button:has-text("New session")');
      await page.click('.chip:has-text("opus")');
      await page.click('#sessions button:has-text("Start")');
      await word(page, 'Live');
      const [session] = server.sessions.values();
      assert.equal(session.model, 'opus');
      await page.click('#session');
      await page.click('button[aria-label^="More for"]');
      assert.equal(await page.locator('.chip:has-text("opus") input').isChecked(), true);
      await page.click('.chip:has-text("The server’s")');
      await page.click('button:has-text("Save"):not(:has-text("text"))');
      await has(page, 'Model from the next turn on by sam: the server’s own.');
      assert.equal(session.model, null);
      const created = server.requests.find((one) => one.method === 'POST' && one.path === '/api/sessions');
      assert.deepEqual(created.body, { mode: 'ask', model: 'opus' });
    }),
  },
  {
    name: 'U4 words are found, a command is copied, and all of it is kept as a file',
    run: (browser) => scene(browser, { before: (server) => scenes.report(server.session({ name: 'Web shop: down' })), context: { permissions: ['clipboard-read', 'clipboard-write'] } }, async ({ page }) => {
      await word(page, 'Live');
      await page.click('.md .code button:has-text("Copy")');
      await until(page, () => document.querySelector('.md .code button').textContent === 'Copied');
      assert.ok((await page.evaluate(() => navigator.clipboard.readText())).includes('systemctl start postgresql'));
      await page.click('#session');
      await page.click('button:has-text("Find in this one")');
      await page.fill('#find', 'nothing of the kind');
      await has(page, 'Nothing found.');
      await page.fill('#find', 'UNIT postgresql');
      await has(page, '1 place');
      await page.click('#sessions .pick');
      await until(page, () => document.activeElement.matches('.fold[open]') && document.activeElement.textContent.includes('systemctl --failed'));
      await page.click('#session');
      const [kept] = await Promise.all([page.waitForEvent('download'), page.click('button:has-text("Save it as text")')]);
      assert.equal(kept.suggestedFilename(), 'Web-shop-down.md');
      const file = readFileSync(await kept.path(), 'utf8');
      for (const part of ['# Web shop: down', '## sam', 'ssh devvm df -hT', 'tmpfs 7.8G', '**The root disk is full', '*Done*']) assert.ok(file.includes(part), part);
    }),
  },
  {
    name: 'U7 red is for what can hurt: the link’s troubles have none',
    run: (browser) => scene(browser, { before: (server) => { const s = server.session(); scenes.running(s); scenes.failed(s); } }, async ({ page, server }) => {
      await word(page, 'Live');
      server.faults.stream = Array(99).fill(502);
      server.sessions.forEach((one) => one.drop('reset'));
      await word(page, 'Reconnecting');
      const red = await page.evaluate(() => {
        const danger = getComputedStyle(document.getElementById('power-open')).color;
        const others = [...document.querySelectorAll('body *')].filter((one) => !one.closest('#power-open') && one.checkVisibility());
        return others.filter((one) => getComputedStyle(one).color === danger).map((one) => one.outerHTML.slice(0, 80));
      });
      assert.deepEqual(red, []);
    }),
  },
  {
    name: 'session: a model that starts over takes its words back',
    run: (browser) => scene(browser, { before: (server) => scenes.running(server.session()) }, async ({ page, server }) => {
      await word(page, 'Live');
      const [session] = server.sessions.values();
      session.emit('retract', { blocks: [{ block: 0, text: 'First' }] });
      session.emit('delta', { block: 0, text: ', anew.' });
      session.emit('retry', { attempt: 1, max_retries: 10, delay_ms: 1, status: 529, error: 'overloaded' });
      await has(page, 'First, anew.');
      await has(page, 'attempt 1 of 10');
      assert.ok(!(await text(page, '#items')).includes('its writer'));
    }),
  },
  {
    name: 'session: a prompt is sent once, though its answer is lost',
    run: (browser) => scene(browser, { before: (server) => scenes.report(server.session()) }, async ({ page, server }) => {
      await word(page, 'Live');
      let lost = 0;
      server.faults.api = (request) => {
        if (!request.path.endsWith('/turns') || lost++) return null;
        const [session] = server.sessions.values();
        session.turns += 1;
        const id = session.emit('user', { text: request.body.prompt, by: 'sam', key: request.headers['idempotency-key'] });
        session.keys.set(request.headers['idempotency-key'], { turn: session.turns, id });
        return 502;
      };
      await send(page, 'Only once');
      await until(page, () => document.querySelectorAll('.unsent').length === 0 && document.body.innerText.includes('Only once'));
      assert.equal((await text(page, '#items')).split('Only once').length, 2);
      assert.equal(new Set(turns(server).map((one) => one.headers['idempotency-key'])).size, 1);
    }),
  },
  {
    name: 'session: an unsent prompt is kept, sent when the server is back, and given back on request',
    run: (browser) => scene(browser, { own: true, at: null, before: (server) => scenes.report(server.session()) }, async ({ page, server }) => {
      await page.clock.install();
      await page.goto(server.url);
      await word(page, 'Live');
      server.faults.api = (request) => request.path.endsWith('/turns') && 503;
      await send(page, 'Kept');
      await has(page, 'Not sent.');
      assert.equal(await page.locator('#prompt').isEnabled(), true);
      await page.click('button:has-text("Take back")');
      assert.equal(await page.inputValue('#prompt'), 'Kept');
      await page.click('#send');
      await has(page, 'Not sent.');
      server.faults.api = null;
      server.onPrompt = (session) => scenes.done(session, 'There.');
      await page.clock.runFor(9000);
      await has(page, 'There.');
      // Too old is not sent by itself.
      server.faults.api = (request) => request.path.endsWith('/turns') && 503;
      await send(page, 'Late');
      await has(page, 'Not sent.');
      await page.clock.fastForward(11 * 60 * 1000);
      await has(page, 'too old to be sent by itself');
      server.faults.api = null;
      const before = turns(server).length;
      await page.clock.runFor(20000);
      assert.equal(turns(server).length, before);
      await page.click('button:has-text("Send now")');
      await eventually('sent', () => turns(server).length === before + 1);
    }),
  },
  {
    name: 'session: stop is where send was, asks once, and forces on the second press after 5 s',
    run: (browser) => scene(browser, { own: true, at: null, before: (server) => { scenes.running(server.session()); server.holdCancel = true; } }, async ({ page, server }) => {
      await page.clock.install();
      await page.goto(server.url);
      await word(page, 'Live');
      const box = await page.locator('#stop').boundingBox();
      await page.fill('#prompt', 'Kept text');
      await page.click('#stop');
      await has(page, 'Stopping');
      await page.clock.runFor(6000);
      await has(page, 'Force stop');
      await page.click('#stop');
      await has(page, 'Stopped');
      const cancels = server.requests.filter((one) => one.path.endsWith('/cancel')).map((one) => one.body.force);
      assert.deepEqual(cancels, [false, true]);
      const send = await page.locator('#send').boundingBox();
      assert.ok(Math.abs(send.x + send.width - box.x - box.width) < 2 && Math.abs(send.y - box.y) < 2);
      assert.equal(await page.inputValue('#prompt'), 'Kept text');
    }),
  },
  {
    name: 'session: what is sent while a turn runs stays in the field, and says so',
    run: (browser) => scene(browser, { viewport: { width: 1280, height: 860 }, before: (server) => scenes.running(server.session()) }, async ({ page, server }) => {
      await word(page, 'Live');
      await page.click('#presets button:has(span:text-is("Disk"))');
      await has(page, 'Your text stays here until this turn ends.');
      assert.ok((await page.inputValue('#prompt')).startsWith('Find out what is wrong with the disks'));
      assert.equal(turns(server).length, 0);
    }),
  },
  {
    name: 'session: leaving the page cancels nothing',
    run: (browser) => scene(browser, { before: (server) => scenes.running(server.session()) }, async ({ page, server }) => {
      await word(page, 'Live');
      await page.goto('about:blank');
      await eventually('detached', () => [...server.sessions.values()][0].streams.size === 0);
      assert.equal(server.requests.filter((one) => one.path.endsWith('/cancel')).length, 0);
    }),
  },
  {
    name: 'session: the log stays where a person reads, and says how much is new',
    run: (browser) => scene(browser, { before: (server) => { const s = server.session(); for (let n = 0; n < 12; n += 1) scenes.report(s); } }, async ({ page, server }) => {
      await word(page, 'Live');
      await until(page, () => document.querySelectorAll('.end').length === 12);
      await page.locator('#log').hover();
      await page.mouse.wheel(0, -1500);
      await until(page, () => !document.getElementById('jump').hidden);
      const before = await page.evaluate(() => document.getElementById('log').scrollTop);
      scenes.done([...server.sessions.values()][0], 'Below.');
      await until(page, () => document.getElementById('jump-word').textContent === '1 new');
      assert.ok(Math.abs(before - await page.evaluate(() => document.getElementById('log').scrollTop)) < 3);
      await page.click('#jump');
      await until(page, () => document.getElementById('jump').hidden);
    }),
  },
  {
    name: 'session: 400 items are kept on the page, older ones come back by REST',
    run: (browser) => scene(browser, { before: (server) => {
      const session = server.session();
      for (let n = 0; n < 150; n += 1) { scenes.running(session); scenes.done(session, `Answer ${n}.`); }
    } }, async ({ page }) => {
      await word(page, 'Live');
      await has(page, 'Answer 149.');
      assert.ok((await page.locator('.item').count()) <= 400);
      await page.evaluate(() => { document.getElementById('log').scrollTop = 0; });
      await page.click('button:has-text("Show earlier")');
      await until(page, () => document.getElementById('items').textContent.includes('Answer 0.'));
    }),
  },
  {
    name: 'session: names, modes, new ones and deleted ones',
    run: (browser) => scene(browser, { before: (server) => scenes.report(server.session({ name: 'First' })) }, async ({ page, server }) => {
      await word(page, 'Live');
      await page.click('#session');
      await page.click('button:has-text("New session")');
      await page.fill('#new-name', 'Second');
      await page.click('.chip:has-text("unattended")');
      await page.click('#sessions button:has-text("Start")');
      await has(page, 'Unattended: commands run without asking.');
      await until(page, () => document.getElementById('session-name').textContent === 'Second');
      await page.click('button:has-text("Ask first")');
      await has(page, 'Claude asks before it acts again');
      await page.click('#session');
      await page.click('.choice:has-text("First") button[aria-label^="More"]');
      await page.fill('#edit-name', 'Renamed');
      await page.click('button:has-text("Save")');
      await has(page, 'Renamed');
      await page.click('.choice:has-text("Second") button[aria-label^="More"]');
      await page.click('button:has-text("Delete the session")');
      await page.click('button:has-text("Really delete it")');
      await until(page, () => document.querySelectorAll('.choice').length === 1);
      const changes = server.requests.filter((one) => ['PATCH', 'DELETE'].includes(one.method)).map((one) => one.method);
      assert.deepEqual(changes, ['PATCH', 'PATCH', 'DELETE']);
    }),
  },
  {
    name: 'session: signing in with a key that is kept for the tab alone',
    run: (browser) => scene(browser, { before: (server) => { server.key = 'k'.repeat(40); scenes.report(server.session()); } }, async ({ page, server }) => {
      await page.fill('#key', 'k'.repeat(40));
      await page.keyboard.press('Enter');
      await word(page, 'Live');
      assert.equal(await page.evaluate(() => JSON.stringify(localStorage)).then((kept) => kept.includes('kkkk')), false);
      assert.ok(server.requests.every((one) => !one.path.includes('kkkk')));
      await page.click('#link');
      await page.click('button:has-text("Sign out")');
      await word(page, 'Signed out');
    }),
  },
  {
    name: 'session: what a screen reader hears is the beginning, the end, and never a token',
    run: (browser) => scene(browser, { before: (server) => scenes.report(server.session()) }, async ({ page, server }) => {
      await word(page, 'Live');
      await page.evaluate(() => {
        window.heard = [];
        for (const id of ['status', 'alert']) new MutationObserver(() => window.heard.push(document.getElementById(id).textContent)).observe(document.getElementById(id), { childList: true, characterData: true, subtree: true });
      });
      const [session] = server.sessions.values();
      scenes.running(session);
      for (let n = 0; n < 20; n += 1) session.emit('delta', { block: 3, text: `token${n} ` });
      await has(page, 'token19');
      assert.equal(await page.locator('.md[aria-busy=true]').count(), 1);
      scenes.approval(session);
      await page.waitForSelector('.card');
      session.emit('decision', { approval: 'a1', tool_id: 'a-t', decision: 'expired', by: 'server' });
      scenes.done(session);
      await until(page, () => window.heard.some((one) => one.startsWith('Answer finished.')));
      const heard = await page.evaluate(() => window.heard);
      assert.equal(heard[0], 'Answer started.');
      assert.ok(heard[1].startsWith('Claude wants to run: ssh devvm truncate'), heard[1]);
      assert.equal(heard.length, 3, String(heard));
      assert.equal(await page.locator('.md[aria-busy=true]').count(), 0);
      assert.equal(await page.locator('#log').getAttribute('aria-live'), 'off');
    }),
  },
  {
    name: 'session: markdown in pieces of any size makes the same as in one',
    run: (browser) => scene(browser, { page: null, at: null }, async ({ page, server }) => {
      // The modules as they lie: `page: null` is not enough when the suite runs on the crate's files.
      server.assets = null;
      await page.goto(server.url);
      const differing = await page.evaluate(async (source) => {
        const { MarkdownView, useLexer } = await import('/markdown.js');
        const { Lexer } = await import('/vendor/marked-lexer.js');
        useLexer((text) => new Lexer().lex(text));
        const whole = document.createElement('div');
        new MarkdownView(whole).show(source, false);
        const wrong = [];
        for (const step of [1, 2, 3, 7, 19, 64]) {
          const pieces = document.createElement('div');
          const view = new MarkdownView(pieces);
          for (let end = step; end < source.length; end += step) view.show(source.slice(0, end), true);
          view.show(source, false);
          if (!pieces.isEqualNode(whole)) wrong.push(step);
        }
        return wrong;
      }, `${scenes.REPORT}\n\n> quoted\n> more\n\n- a\n- b\n  - c\n\n  loose\n\nSetext\n===\n\n\`\`\`\nopen **fence**\n\n\`\`\`\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n***\n\n1. one\n2. two &amp; &#x41; \\* <b>html</b>\n\n~~gone~~ last`);
      assert.deepEqual(differing, []);
    }),
  },
];
