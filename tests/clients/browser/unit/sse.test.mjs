import assert from 'node:assert/strict';
import test from 'node:test';
import { SseParser } from '../../../../claude-exec-breakglass/page/sse.js';

const parse = (...pieces) => {
  const parser = new SseParser();
  const events = pieces.flatMap((piece) => parser.push(piece));
  return { events: events.map(({ type, data, id }) => [type, data, id]), parser };
};

test('what the standard makes of each line', () => {
  const table = [
    ['data: x\n\n', [['message', 'x', '']]],
    ['data: x\r\n\r\n', [['message', 'x', '']]],
    ['data: x\rdata: y\r\r', [['message', 'x\ny', '']]],
    ['\ufeffdata: x\n\n', [['message', 'x', '']]],
    ['data: x\n\n\ufeffdata: y\n\n', [['message', 'x', '']]],
    ['data:  two\n\n', [['message', ' two', '']]],
    ['data\n\n', [['message', '', '']]],
    ['event: e\n\n', []],
    [':\n\n: said\n\n', []],
    ['id: 9\n\ndata: x\n\n', [['message', 'x', '9']]],
    ['id: 9\ndata: x\n\ndata: y\n\n', [['message', 'x', '9'], ['message', 'y', '9']]],
    ['id: a\0b\ndata: x\n\n', [['message', 'x', '']]],
    ['id: 9\ndata: x\n\nid\ndata: y\n\n', [['message', 'x', '9'], ['message', 'y', '']]],
    ['event: e\ndata: x\n\ndata: y\n\n', [['e', 'x', ''], ['message', 'y', '']]],
    ['nonsense: 1\ndata: x\n\n', [['message', 'x', '']]],
    ['id: 9\ndata: torn\n', []],
    ['id: 9\ndata: torn', []],
  ];
  for (const [stream, expected] of table) assert.deepEqual(parse(stream).events, expected, JSON.stringify(stream));
});

test('the id of a torn block is not taken', () => {
  assert.equal(parse('id: 1\ndata: x\n\nid: 2\ndata: y\n').parser.id, '1');
});

test('retry is digits or nothing', () => {
  for (const [line, expected] of [['1000', 1000], ['1e9', null], ['-5', null], ['12a', null], ['', null]]) {
    assert.equal(parse(`retry: ${line}\n`).parser.retry, expected, line);
  }
});

test('pieces of any size make the same events', () => {
  const stream = '\ufeffretry: 5\r\nid: 7-1\r\nevent: delta\r\ndata: {"text":"ä\u2028"}\r\n\r\n:\r\rid: 7-2\rdata: a\rdata\r\r\ndata: last\n\n';
  const whole = parse(stream).events;
  assert.equal(whole.length, 3);
  for (let step = 1; step < stream.length; step += 1) {
    const pieces = [];
    for (let at = 0; at < stream.length; at += step) pieces.push(stream.slice(at, at + step));
    assert.deepEqual(parse(...pieces).events, whole, `pieces of ${step}`);
  }
});
