import assert from 'node:assert/strict';
import test from 'node:test';
import { refusal, Stream } from '../../../../claude-exec-breakglass/page/stream.js';

/** A clock that a test moves, and connections that it answers. */
function rig(options = {}) {
  let now = 0;
  const timers = new Map();
  let next = 1;
  const clock = {
    now: () => now,
    random: () => 1,
    set: (run, ms) => { timers.set(next, { at: now + ms, run }); return next++; },
    clear: (timer) => timers.delete(timer),
  };
  const requests = [];
  const links = [];
  const events = [];
  const stream = new Stream({
    url: '/e', cursor: null, clock, online: () => true,
    fetch: (url, init) => new Promise((answer, fail) => {
      init.signal.addEventListener('abort', () => fail(new Error('aborted')));
      requests.push({ url, headers: init.headers, answer, fail, signal: init.signal });
    }),
    hello: () => {},
    event: (type, data, id) => events.push([type, id]),
    link: (link) => links.push(link),
    ...options,
  });
  const settle = async () => { for (let turn = 0; turn < 20; turn += 1) await Promise.resolve(); };
  const move = async (ms) => {
    const end = now + ms;
    for (;;) {
      await settle();
      const due = [...timers].filter(([, timer]) => timer.at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      now = Math.max(now, due[1].at);
      timers.delete(due[0]);
      due[1].run();
    }
    now = end;
    await settle();
  };
  const body = () => {
    let controller;
    const readable = new ReadableStream({ start: (one) => { controller = one; } });
    const response = { status: 200, type: 'basic', headers: new Headers({ 'content-type': 'text/event-stream' }), body: readable };
    return { response, push: async (text) => { controller.enqueue(new TextEncoder().encode(text)); await new Promise((done) => setImmediate(done)); }, close: async () => { controller.close(); await new Promise((done) => setImmediate(done)); } };
  };
  return { stream, requests, links, events, move, body, settle, phases: () => links.map((link) => link.phase) };
}

const hello = (head, heartbeat = 15) => `event: hello\ndata: ${JSON.stringify({ head, heartbeat_s: heartbeat })}\n\n`;
const event = (id) => `id: ${id}\nevent: delta\ndata: {}\n\n`;

test('the cursor goes with the next request, and the state with the last byte', async () => {
  const { stream, requests, links, events, body, phases } = rig();
  stream.open();
  assert.equal(requests[0].headers['Last-Event-ID'], undefined);
  const one = body();
  requests[0].answer(one.response);
  await one.push(hello('7-2') + event('7-1'));
  assert.deepEqual(phases(), ['connecting', 'catching_up', 'catching_up']);
  assert.equal(links.at(-1).behind, 1);
  await one.push(event('7-2'));
  assert.equal(links.at(-1).phase, 'live');
  await one.close();
  assert.equal(links.at(-1).phase, 'reconnecting');
  assert.deepEqual(events.map(([, id]) => id), ['7-1', '7-2']);
});

test('back-off doubles to five seconds, and starts over after a hello', async () => {
  const { stream, requests, links, move, body } = rig();
  stream.open();
  const waits = [];
  for (let round = 0; round < 7; round += 1) {
    requests.at(-1).fail(new Error('down'));
    await move(0);
    const link = links.at(-1);
    waits.push(link.nextAt);
    await move(5000);
  }
  assert.deepEqual(waits.map((at, index) => at - index * 5000), [250, 500, 1000, 2000, 4000, 5000, 5000]);
  const one = body();
  requests.at(-1).answer(one.response);
  await one.push(hello('7-0'));
  await one.close();
  assert.equal(links.at(-1).attempt, 1);
});

test('silence of two and a half heartbeats ends a connection, and comments do not', async () => {
  const { stream, requests, move, body } = rig();
  stream.open();
  const one = body();
  requests[0].answer(one.response);
  await one.push(hello('7-0', 2));
  await move(4900);
  await one.push(':\n\n');
  await move(4900);
  assert.equal(requests[0].signal.aborted, false);
  await move(200);
  assert.equal(requests[0].signal.aborted, true);
  await move(300);
  assert.equal(requests.length, 2);
});

test('an answer that never begins is given up', async () => {
  const { stream, requests, move } = rig();
  stream.open();
  await move(10000);
  assert.equal(requests[0].signal.aborted, true);
});

test('a jump is a reason to come back once, and then the word of the server', async () => {
  const { stream, requests, events, move, body } = rig();
  stream.open();
  for (let round = 0; round < 2; round += 1) {
    const one = body();
    requests.at(-1).answer(one.response);
    await one.push(round === 0 ? hello('7-9') + event('7-1') + event('7-5') : hello('7-9') + event('7-5') + event('7-6'));
    await move(300);
  }
  assert.equal(requests[1].headers['Last-Event-ID'], '7-1');
  assert.deepEqual(events.map(([type]) => type), ['delta', 'jump', 'delta', 'delta']);
});

test('a refused cursor is let go of, once', async () => {
  const { stream, requests, phases, settle } = rig({ cursor: '7-5' });
  stream.open();
  requests[0].answer({ status: 400, type: 'basic', headers: new Headers() });
  await settle();
  assert.equal(requests[1].headers['Last-Event-ID'], undefined);
  requests[1].answer({ status: 400, type: 'basic', headers: new Headers() });
  await settle();
  assert.equal(phases().at(-1), 'gone');
});

test('what is parked stays, and a late answer of an old connection counts for nothing', async () => {
  const { stream, requests, events, body, phases, move } = rig();
  stream.open();
  const late = body();
  stream.park();
  requests[0].answer(late.response);
  await late.push(hello('7-1') + event('7-1'));
  await move(60000);
  assert.deepEqual([phases().at(-1), events.length, requests.length], ['parked', 0, 1]);
});

test('a lively stream is left alone, one that may be dead is not', async () => {
  const { stream, requests, body, move } = rig();
  stream.open();
  const one = body();
  requests[0].answer(one.response);
  await one.push(hello('7-0', 15));
  stream.open();
  assert.equal(requests.length, 1);
  await move(19000);
  stream.open();
  assert.equal(requests.length, 2);
});

test('answers that are no stream', () => {
  const table = [[204, 'ended'], [400, 'stale'], [401, 'signed_out'], [403, 'forbidden'], [404, 'gone'], [410, 'gone'], [429, 'retry'], [500, 'retry'], [502, 'retry']];
  for (const [status, expected] of table) assert.equal(refusal({ status, type: 'basic', headers: new Headers() }), expected, String(status));
  const typed = (type) => refusal({ status: 200, type: 'basic', headers: new Headers({ 'content-type': type }) });
  assert.deepEqual([typed('text/event-stream; charset=utf-8'), typed('text/html'), typed('')], [null, 'signed_out', 'signed_out']);
  assert.equal(refusal({ status: 0, type: 'opaqueredirect', headers: new Headers() }), 'signed_out');
});
