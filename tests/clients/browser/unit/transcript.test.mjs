// The transcript as text: what is found in it, and what is kept of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asMarkdown, find } from '../../../../claude-exec-breakglass/page/transcript.js';

const ITEMS = [
  { key: 'user-1', kind: 'user', turn: 1, text: 'Why is the disk full?', by: 'sam', at: 0 },
  { key: 'tool-t', kind: 'tool', turn: 1, name: 'Bash', command: 'ssh devvm df -h', input: {}, result: { is_error: true, text: '```\n100 %\u001b[0m' } },
  { key: 'approval-a', kind: 'approval', turn: 1, card: { kind: 'power', verb: 'cycle', reason: 'QMP is dead' }, decision: { decision: 'deny', by: 'sam' } },
  { key: 'text-1-0', kind: 'text', turn: 1, text: 'The disk is **full**.', open: false },
  { key: 'end-1', kind: 'end', turn: 1, state: 'failed', error: 'overloaded', ms: 1 },
];

test('every word has to be there, whatever its case; the newest comes first', () => {
  assert.deepEqual(find(ITEMS, 'DISK').map((place) => place.key), ['text-1-0', 'user-1']);
  assert.deepEqual(find(ITEMS, 'full? disk').map((place) => place.key), ['user-1']);
  assert.deepEqual(find(ITEMS, '100 df').map((place) => [place.key, place.who]), [['tool-t', 'Bash']]);
  assert.deepEqual(find(ITEMS, 'qmp cycle').map((place) => place.key), ['approval-a']);
  assert.deepEqual([find(ITEMS, '  '), find(ITEMS, 'nowhere')], [[], []]);
  const [far] = find([{ key: 'k', kind: 'text', text: `${'x '.repeat(500)}needle${' y'.repeat(500)}` }], 'needle');
  assert.ok(far.excerpt.startsWith('…') && far.excerpt.includes('needle') && far.excerpt.length < 200, far.excerpt);
});

test('what is kept is Markdown, with fences that hold and no control character', () => {
  const text = asMarkdown(ITEMS, 'Disk\u0007');
  assert.equal(text, `# Disk

## sam

Why is the disk full?

**Bash** (failed)

\`\`\`\`
ssh devvm df -h
\`\`\`
100 %
\`\`\`\`

**Asked**: deny by sam

\`\`\`
cycle the VM: QMP is dead
\`\`\`

The disk is **full**.

*Failed: overloaded*
`);
});
