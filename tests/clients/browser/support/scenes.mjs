// What a session may look like, as scripts of events.

const usage = { input_tokens: 812, output_tokens: 304, cache_read_input_tokens: 5120, cache_creation_input_tokens: 0 };
export const REPORT = `**The root disk is full, and postgres cannot write its WAL.** Everything else follows from that.

| mount | used | free | inodes |
|---|---:|---:|---:|
| \`/\` | 100 % | 0 B | 41 % |
| \`/var/lib/docker\` | 61 % | 88 GB | 12 % |

1. \`/var/log/app/debug.log\` has 41 GB, and is still growing.
2. \`postgresql.service\` failed at 02:51: *No space left on device*.
3. Memory and load are normal; no OOM kill since boot.

I would truncate the log (its writer keeps it open, so deleting frees nothing), then start postgres:

\`\`\`sh
truncate -s 0 /var/log/app/debug.log
systemctl start postgresql
\`\`\`
`;

const DF = `Filesystem     Type  Size  Used Avail Use% Mounted on
/dev/sda1      ext4   99G   99G     0 100% /
/dev/sdb1      xfs   220G  134G   88G  61% /var/lib/docker
tmpfs          tmpfs 7.8G  1.2M  7.8G   1% /run
`;

export const PROMPT = 'The web shop answers 500 since ten to three. What is wrong?';

/** A finished turn with tools and a report. */
export function report(session) {
  session.turns += 1;
  session.emit('user', { text: PROMPT, by: 'sam' });
  session.emit('session', { session_id: session.id, model: 'sonnet' });
  session.emit('thinking', { block: 0, text: 'Disk, services, then memory. Read-only first.' });
  session.emit('delta', { block: 1, text: 'Looking at disks, failed units and memory first.' });
  session.emit('tool', { tool_id: 't1', name: 'Bash', input: { command: 'ssh devvm df -hT' }, command: 'ssh devvm df -hT' });
  session.emit('decision', { tool_id: 't1', decision: 'auto', by: 'rule', rule: 'read-only' });
  session.emit('tool_result', { tool_id: 't1', is_error: false, text: DF, bytes: DF.length, truncated: false, ms: 412 });
  session.emit('tool', { tool_id: 't2', name: 'Bash', input: { command: 'ssh devvm systemctl --failed --no-pager' }, command: 'ssh devvm systemctl --failed --no-pager' });
  session.emit('tool_result', { tool_id: 't2', is_error: false, text: '  UNIT               LOAD   ACTIVE SUB    DESCRIPTION\n● postgresql.service loaded failed failed PostgreSQL\n', bytes: 118, truncated: false, ms: 371 });
  session.emit('tool', { tool_id: 't3', name: 'Bash', input: { command: 'ssh devvm smartctl -H /dev/sda' }, command: 'ssh devvm smartctl -H /dev/sda' });
  session.emit('tool_result', { tool_id: 't3', is_error: true, text: 'smartctl: command not found', bytes: 27, truncated: false, ms: 290 });
  session.emit('delta', { block: 2, text: REPORT });
  session.emit('result', { is_error: false, result: '', duration_ms: 12400, cost_usd: 0.0214, total_cost_usd: 0.0214, usage, num_turns: 4 });
  session.emit('turn_end', { state: 'done', ms: 12400 });
  session.cost = 0.0214;
}

/** A turn that runs a tool. */
export function running(session) {
  session.turns += 1;
  session.emit('user', { text: 'Free the space and bring postgres back.', by: 'sam', at: Date.now() - 7000 });
  session.emit('delta', { block: 0, text: 'First the log: its writer keeps it open, so I truncate it ' });
  session.emit('delta', { block: 0, text: 'and do not delete it' });
}

export function tool(session) {
  session.emit('tool', { tool_id: `r${session.turns}`, name: 'Bash', input: { command: 'ssh devvm journalctl -u postgresql -n 50' }, command: 'ssh devvm journalctl -u postgresql -n 50' });
}

export function approval(session) {
  session.emit('tool', { tool_id: 'a-t', name: 'Bash', input: { command: 'ssh devvm truncate -s 0 /var/log/app/debug.log' }, command: 'ssh devvm truncate -s 0 /var/log/app/debug.log' });
  session.emit('approval', { approval: 'a1', kind: 'tool', tool_id: 'a-t', tool: 'Bash', command: 'ssh devvm truncate -s 0 /var/log/app/debug.log', input: { command: 'ssh devvm truncate -s 0 /var/log/app/debug.log' }, description: 'Frees 41 GB at once. What the log holds is lost.', rule: 'Bash(ssh devvm truncate -s 0 /var/log/*)', expires_at: Date.now() + 292000 });
}

export function powerCard(session) {
  session.emit('approval', { approval: 'a2', kind: 'power', verb: 'cycle', reason: 'QMP does not answer and QEMU is not in D state', expires_at: Date.now() + 292000 });
}

export function done(session, text = 'Done: 41 GB are free and postgres runs.') {
  session.emit('delta', { block: 5, text });
  session.emit('result', { is_error: false, result: '', duration_ms: 9100, cost_usd: 0.0093, total_cost_usd: 0.0307, usage, num_turns: 2 });
  session.emit('turn_end', { state: 'done', ms: 9100 });
}

export function failed(session) {
  session.emit('retry', { attempt: 2, max_retries: 10, delay_ms: 4000, status: 529, error: 'overloaded' });
  session.emit('result', { is_error: true, result: 'API Error: 529 overloaded', duration_ms: 61000, cost_usd: 0.001, total_cost_usd: 0.03, usage, num_turns: 1 });
  session.emit('turn_end', { state: 'failed', ms: 61000 });
}
