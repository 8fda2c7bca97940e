// The stream under every fault that a server, a proxy or a pocket has: each word once, in order, and the page knows
// where it stands.
import assert from 'node:assert/strict';
import { eventually, scene, text, until, word } from '../support/browser.mjs';
import * as scenes from '../support/scenes.mjs';

/** A session whose answer is numbered words, written while things go wrong. */
async function writing(browser, options, misbehave) {
  let session;
  await scene(browser, { ...options, before: (server) => {
    server.heartbeat = options.heartbeat ?? 15;
    session = server.session({ name: 'Words' });
    session.turns = 1;
    session.emit('user', { text: 'Count.', by: 'sam' });
  } }, async (scenery) => {
    await word(scenery.page, 'Live');
    let said = 0;
    const say = (count = 1) => {
      for (let one = 0; one < count; one += 1) session.emit('delta', { block: 0, text: `w${said++} ` });
    };
    await misbehave({ ...scenery, session, say, attached: () => eventually('attached', () => session.streams.size === 1) });
    say();
    const expected = Array.from({ length: said }, (_, number) => `w${number}`).join(' ');
    await until(scenery.page, (wanted) => document.querySelector('.md')?.textContent.trim() === wanted, expected)
      .catch(async () => assert.equal(await text(scenery.page, '.md'), expected));
    await word(scenery.page, options.ends ?? 'Live');
  });
}

const steady = (name, misbehave, options = {}) => ({ name: `stream ${name}`, run: (browser) => writing(browser, options, misbehave) });

/** Cuts, writes while nobody listens, and lets it come back. */
const cut = (how) => async ({ session, say, attached }) => {
  for (let round = 0; round < 5; round += 1) {
    say(3);
    session.drop(how);
    say(2);
    await attached();
  }
};

const refusals = (...faults) => async ({ server, session, say, attached }) => {
  say(2);
  server.faults.stream = faults;
  session.drop('reset');
  say(2);
  await attached();
};

/** What the page makes of an answer that ends its stream. */
const ends = (name, misbehave, shown) => ({
  name: `stream ${name}`,
  run: (browser) => scene(browser, { before: (server) => scenes.report(server.session({ name: 'One' })) }, async (scenery) => {
    await word(scenery.page, 'Live');
    const [session] = scenery.server.sessions.values();
    await misbehave({ ...scenery, session });
    await word(scenery.page, shown);
  }),
});

export const cases = [
  steady('clean cuts', cut('end')),
  steady('resets', cut('reset')),
  steady('a bye before each cut', cut('bye')),
  steady('502 on reconnect', refusals(502, 502, 503, 504)),
  steady('refused connections', refusals('destroy', 'destroy')),
  steady('a stall is seen by its silence', async ({ server, say, session, attached }) => {
    say(2);
    server.faults.stall = true;
    say(2);
    await eventually('given up', () => session.streams.size === 0);
    server.faults.stall = false;
    await attached();
  }, { heartbeat: 0.2 }),
  steady('comments keep a quiet stream', async ({ session, page }) => {
    await page.waitForTimeout(900);
    assert.equal(session.streams.size, 1);
    assert.equal(await page.evaluate(() => document.getElementById('link-word').textContent), 'Live');
  }, { heartbeat: 0.2 }),
  steady('torn last blocks', async ({ server, say, attached, session }) => {
    for (let round = 0; round < 3; round += 1) {
      server.faults.torn = 1;
      say(1);
      await eventually('torn', () => session.streams.size === 0);
      await attached();
    }
  }),
  steady('blocks sent twice', async ({ server, say }) => {
    server.faults.duplicate = 6;
    say(8);
  }),
  steady('a lost event', async ({ server, say, session, attached }) => {
    say(2);
    server.faults.jumps = 1;
    say(2);
    await eventually('noticed', () => server.requests.filter((one) => one.path.endsWith('/events')).length === 2);
    await attached();
    assert.equal(server.requests.findLast((one) => one.path.endsWith('/events')).headers['last-event-id'], `7-${session.seq - 2}`);
  }),
  steady('a new epoch goes on with the count', async ({ session, say, attached }) => {
    say(3);
    session.newEpoch();
    session.drop('reset');
    say(3);
    await attached();
  }),
  steady('an epoch that is not in the log starts anew', async ({ server, session, say, attached }) => {
    say(3);
    server.faults.reset = true;
    session.drop('reset');
    await attached();
    server.faults.reset = false;
  }, { ends: 'Live, gap' }),
  {
    name: 'stream ahead of the log shows what the log has',
    run: (browser) => scene(browser, { before: (server) => scenes.report(server.session({ name: 'One' })) }, async ({ page, server }) => {
      await word(page, 'Live');
      const [session] = server.sessions.values();
      session.log = session.log.slice(0, 4);
      session.drop('reset');
      await word(page, 'Live, gap');
      await until(page, () => !document.body.innerText.includes('The root disk is full'));
      assert.ok((await text(page, '#alert')).includes('shorter'));
    }),
  },
  {
    name: 'stream overtaken gets a gap and the snapshot',
    run: (browser) => scene(browser, { before: (server) => scenes.report(server.session({ name: 'One' })) }, async ({ page, server }) => {
      await word(page, 'Live');
      const [session] = server.sessions.values();
      server.faults.stream = [502, 502];
      session.drop('reset');
      for (let turn = 0; turn < 20; turn += 1) { scenes.running(session); scenes.done(session, `Answer ${turn}.`); }
      session.trim(session.log.length - 5);
      await word(page, 'Live, gap');
      await until(page, () => document.body.innerText.includes('Answer 19.') && document.body.innerText.includes('trimmed'));
      assert.ok(!(await text(page, '#items')).includes('The root disk is full'));
      await page.click('#link');
      await page.keyboard.press('Escape');
      assert.equal(await text(page, '#link-word'), 'Live');
    }),
  },
  ends('302 to a login page', async ({ server, session }) => {
    server.faults.login = '/login';
    session.drop('reset');
    await eventually('asked', () => server.requests.findLast((one) => one.path.startsWith('/api')).path.endsWith('/events'));
    assert.equal(server.requests.filter((one) => one.path === '/login').length, 0);
  }, 'Signed out'),
  ends('a login page with 200', async ({ server, session }) => { server.faults.stream = ['html']; session.drop('reset'); }, 'Signed out'),
  ends('401', async ({ server, session }) => { server.faults.stream = [401]; session.drop('reset'); }, 'Signed out'),
  ends('403', async ({ server, session }) => { server.faults.stream = [403]; session.drop('reset'); }, 'Not allowed'),
  ends('deleted while away', async ({ session }) => { session.deleted = true; session.drop('end'); }, 'Gone'),
  ends('closed, then 204', async ({ server, session }) => { server.faults.stream = [204]; session.drop('end'); }, 'Closed'),
  {
    name: 'stream comes back after two minutes in a pocket, and after the back-forward cache',
    run: (browser) => scene(browser, { own: true, at: null, before: (server) => scenes.report(server.session({ name: 'One' })) }, async ({ page, server }) => {
      await page.clock.install();
      await page.goto(server.url);
      await word(page, 'Live');
      const [session] = server.sessions.values();
      const hide = (hidden) => page.evaluate((now) => {
        Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => (now ? 'hidden' : 'visible') });
        document.dispatchEvent(new Event('visibilitychange'));
      }, hidden);
      await hide(true);
      await page.clock.fastForward(30000);
      assert.equal(session.streams.size, 1);
      await page.clock.fastForward(90000);
      await eventually('let go', () => session.streams.size === 0);
      scenes.running(session);
      scenes.done(session, 'While you were away.');
      await hide(false);
      await word(page, 'Live');
      await until(page, () => document.body.innerText.includes('While you were away.'));
      session.drop('reset');
      await page.evaluate(() => window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
      await eventually('attached', () => session.streams.size === 1);
    }),
  },
  {
    name: 'stream in the seventh tab leaves room for a power verb over HTTP/1.1',
    run: (browser) => scene(browser, { own: true, before: (server) => scenes.report(server.session({ name: 'One' })) }, async ({ page, server, context }) => {
      await word(page, 'Live');
      const [session] = server.sessions.values();
      let seventh;
      for (let tab = 2; tab <= 7; tab += 1) {
        seventh = await context.newPage();
        await seventh.goto(server.url);
        await word(seventh, 'Live');
      }
      await eventually('three streams', () => session.streams.size === 3);
      const { confirming, typeIt } = await import('../support/states.mjs');
      await confirming(seventh, 'Reset');
      await typeIt(seventh);
      await seventh.waitForSelector('.outcome:not(.working)');
      assert.equal(server.commits.length, 1);
      // A tab that is looked at again takes its stream back.
      const parked = await Promise.all(context.pages().map(async (tab) => (await text(tab, '#link-word')) === 'Paused' && tab));
      const one = parked.find(Boolean);
      await one.evaluate(() => window.dispatchEvent(new Event('focus')));
      await word(one, 'Live');
      await eventually('three streams', () => session.streams.size === 3);
    }),
  },
];
