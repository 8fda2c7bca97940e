import assert from 'node:assert/strict';
import test from 'node:test';
import { Store } from '../../../../claude-exec-breakglass/page/store.js';

const turn = (n, ...more) => [['user', { at: n, turn: n, text: `p${n}`, by: 'sam' }], ...more.map(([event, data]) => [event, { at: n, turn: n, ...data }]), ['turn_end', { at: n, turn: n, state: 'done', ms: 5 }]];
const fold = (entries, store = new Store()) => {
  entries.forEach(([event, data], index) => store.apply(event, data, `7-${index + 1}`));
  return store;
};
const show = (store) => store.items.map((item) => [item.kind, item.text ?? item.state ?? item.tool_id]);

test('a turn in the order it happened', () => {
  const store = fold(turn(1, ['delta', { block: 0, text: 'a' }], ['delta', { block: 0, text: 'b' }], ['tool', { tool_id: 't', name: 'Bash', input: {} }], ['tool_result', { tool_id: 't', text: 'x', ms: 1 }], ['delta', { block: 1, text: 'c' }]));
  assert.deepEqual(show(store), [['user', 'p1'], ['text', 'ab'], ['tool', 't'], ['text', 'c'], ['end', 'done']]);
  assert.ok(store.items.every((item) => !item.open));
  assert.equal(store.turn.state, 'idle');
});

test('unknown events and results of unknown tools change nothing', () => {
  const store = fold([...turn(1), ['of_a_later_version', { turn: 1 }], ['tool_result', { turn: 1, tool_id: 'none', text: '' }], ['decision', { approval: 'none', decision: 'deny' }]]);
  assert.equal(store.items.length, 2);
});

test('an open approval waits, a decision lets go, an ended turn withdraws', () => {
  const store = fold([['user', { at: 1, turn: 1, text: 'p' }], ['approval', { turn: 1, approval: 'a', kind: 'tool' }], ['approval', { turn: 1, approval: 'b', kind: 'tool' }]]);
  assert.equal(store.turn.state, 'needs_input');
  store.apply('decision', { approval: 'a', decision: 'allow_once' }, '7-4');
  assert.equal(store.turn.state, 'needs_input');
  store.apply('turn_end', { turn: 1, state: 'cancelled', ms: 1 }, '7-5');
  assert.deepEqual(store.waiting(), []);
  assert.equal(store.byKey.get('approval-b').decision.decision, 'cancelled');
});

test('a snapshot is the same as its events', () => {
  const entries = turn(1, ['delta', { block: 0, text: 'a' }], ['delta', { block: 0, text: 'b' }]);
  const merged = [entries[0], ['delta', { at: 1, turn: 1, block: 0, text: 'ab' }], entries[3]];
  const store = fold(turn(9));
  store.restore({ id: '7-4', trimmed: false, session: { name: 'N', turn: 'idle' }, entries: merged.map(([event, data], index) => ({ id: `7-${index + 1}`, event, data })) });
  assert.deepEqual(show(store), show(fold(entries)));
  assert.equal(store.session.name, 'N');
});

test('a turn that runs is known though its prompt was trimmed', () => {
  const store = new Store();
  store.restore({ id: '7-9', trimmed: true, session: { turn: 'running', turn_n: 4, active_at: 5 }, entries: [{ id: '7-9', event: 'delta', data: { at: 6, turn: 4, block: 2, text: 'x' } }] });
  assert.deepEqual([store.turn.n, store.turn.state, store.turn.at], [4, 'running', 5]);
});

test('older entries go before, and the state of now stays', () => {
  const store = fold(turn(2));
  store.apply('user', { at: 3, turn: 3, text: 'p3' }, '7-9');
  store.prepend(turn(1).map(([event, data], index) => ({ id: `6-${index + 1}`, event, data })));
  assert.deepEqual(show(store).map(([, text]) => text), ['p1', 'done', 'p2', 'done', 'p3']);
  assert.equal(store.turn.state, 'running');
  assert.equal(store.first, '6-1');
});

test('what is drawn anew is what changed', () => {
  const store = fold(turn(1, ['delta', { block: 0, text: 'a' }]));
  assert.equal(store.changes().fresh, true);
  store.apply('user', { at: 2, turn: 2, text: 'p2' }, '7-8');
  store.apply('delta', { at: 2, turn: 2, block: 0, text: 'x' }, '7-9');
  const { fresh, dirty } = store.changes();
  assert.deepEqual([fresh, [...dirty]], [false, ['user-2', 'text-2-0']]);
  assert.equal(store.changes().dirty.size, 0);
});

test('a failed turn says why, and one that was not streamed is shown once', () => {
  const failed = fold(turn(1, ['result', { is_error: true, result: 'API Error: 529' }]));
  assert.equal(failed.items.at(-1).error, 'API Error: 529');
  assert.deepEqual(show(fold(turn(1, ['result', { is_error: false, result: 'whole' }]))).map(([kind]) => kind), ['user', 'text', 'end']);
  assert.deepEqual(show(fold(turn(1, ['delta', { block: 0, text: 'whole\n' }], ['result', { is_error: false, result: 'whole' }]))).map(([kind]) => kind), ['user', 'text', 'end']);
});
