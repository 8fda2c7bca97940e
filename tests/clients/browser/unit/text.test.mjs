import assert from 'node:assert/strict';
import test from 'node:test';
import { ago, clip, clock, duration, exact, head, plain, size } from '../../../../claude-exec-breakglass/page/text.js';
import { behind, judge, position } from '../../../../claude-exec-breakglass/page/cursor.js';

const table = (run, rows) => rows.forEach(([input, expected]) => assert.equal(run(input), expected, JSON.stringify(input)));

test('lengths of time', () => table(duration, [[0, '0.0 s'], [412, '0.4 s'], [9949, '9.9 s'], [9990, '10 s'], [59400, '59 s'], [60000, '1 min'], [125000, '2 min 5 s'], [11520000, '3 h 12 min'], [273600000, '3 d 4 h'], [-5, '0.0 s']]));
test('clocks', () => table(clock, [[0, '0:00'], [1, '0:01'], [29999, '0:30'], [750000, '12:30'], [-9, '0:00']]));
test('how long ago', () => table(ago, [[0, 'now'], [1499, 'now'], [4200, '4 s ago'], [720000, '12 min ago'], [7300000, '2 h ago']]));
test('sizes', () => table(size, [[0, '0 B'], [999, '999 B'], [1200, '1.2 KB'], [3400000, '3.4 MB']]));
test('what is hidden goes', () => table(plain, [
  ['a\x1b[31mb\x1b[0m', 'ab'], ['\x1b]0;title\x07x', 'x'], ['\x1b]8;;http://e\x1b\\x', 'x'], ['a\r\nb\rc', 'a\nb\nc'], ['a\0\x07\x7f\x9bb\tc', 'ab\tc'],
  ['\u202eabc\u202c\u200b\u2066\ufeff', 'abc'], ['\x1b]never ended', ''], ['\x1bc!', '!'], ['ж 😀', 'ж 😀'], ['\u{e0041}x', 'x'],
]));
test('what is hidden is shown', () => table(exact, [['a\u202eb', 'a\\u{202e}b'], ['\x1b[8m', '\\u{1b}[8m'], ['a\tb\nc', 'a\tb\nc'], ['ж', 'ж']]));
test('clipped between code points', () => {
  assert.equal(clip('abcdef', 3), 'abc…');
  assert.equal(clip('ab😀c', 3), 'ab…');
  assert.equal(clip('abc', 3), 'abc');
  assert.equal(head('\n  one  \ntwo'), 'one');
});

test('positions', () => {
  assert.deepEqual(position('7-41'), { epoch: 7, seq: 41 });
  for (const id of ['', '7', '7-', '-1', '7-1-2', 'a-1', '7-1 ', '1_0-1', null, undefined]) assert.equal(position(id), null, String(id));
});

test('what an event is to a reader', () => {
  const rows = [
    [null, '7-1', 'apply'], ['7-1', '7-2', 'apply'], ['7-1', '9-2', 'apply'], ['7-2', '7-2', 'drop'], ['7-2', '7-1', 'drop'], ['7-2', '9-2', 'drop'],
    ['7-2', '7-4', 'jump'], ['9-2', '7-3', 'jump'], ['7-2', '', 'free'], ['7-2', 'x', 'free'], ['bad', '7-9', 'apply'],
  ];
  for (const [last, id, expected] of rows) assert.equal(judge(last, id), expected, `${last} ${id}`);
  assert.equal(behind('7-4100', '7-4182'), 82);
  assert.equal(behind('7-4100', '9-4101'), 1);
  assert.equal(behind(null, '7-3'), 3);
  assert.equal(behind('7-9', '7-3'), 0);
});
