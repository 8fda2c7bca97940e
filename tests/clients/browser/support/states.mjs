// Every state of the page: how it comes about, and the words that show it. Used to check each of them, and to take
// their pictures.
import * as scenes from './scenes.mjs';
import { until, word } from './browser.mjs';

const session = (server, options) => server.session({ name: 'Web shop down', ...options });
const live = (page) => word(page, 'Live');
const has = (page, wanted) => until(page, (words) => document.body.innerText.includes(words), wanted);
const RETRIES = Array(200).fill(502);

/** Opens the power sheet at the last step of a verb. */
export async function confirming(page, verb, reason = 'Unresponsive') {
  await page.click('#power-open');
  await page.click(`.verb:has(.verb-name:text-is("${verb}"))`);
  await page.click(`.chip:has-text("${reason}")`);
  await page.waitForSelector('#power .nonce');
}

export async function typeIt(page, phrase = '102') {
  await page.fill('#phrase', phrase);
  await page.click('#power .typed button.danger');
}

const outcome = (verb, next, words) => ({
  act: async (page, server) => {
    server.outcomes = [next];
    await confirming(page, verb);
    if (verb === 'Start') await page.click('#power button.primary');
    else await typeIt(page);
    await has(page, words);
  },
});

export const STATES = {
  blank: { act: (page) => has(page, 'What is wrong?') },
  live: { before: (server) => scenes.report(session(server)), act: async (page) => { await live(page); await has(page, 'The root disk is full'); } },
  'tool-open': { before: (server) => scenes.report(session(server)), act: async (page) => { await live(page); await page.click('.fold:not(.thought) summary'); await has(page, '/dev/sda1'); await page.locator('.fold[open]').first().scrollIntoViewIfNeeded(); } },
  'catching-up': { before: (server) => { scenes.report(session(server)); server.faults.withhold = 4; }, act: (page) => word(page, 'Catching up, 4 behind') },
  reconnecting: { before: (server) => scenes.report(session(server)), act: async (page, server) => { await live(page); server.faults.stream = [...RETRIES]; server.sessions.forEach((s) => s.drop('reset')); await word(page, 'Reconnecting'); await has(page, 'attempt'); } },
  offline: { own: true, before: (server) => scenes.report(session(server)), act: async (page, server, context) => { await live(page); await context.setOffline(true); server.sessions.forEach((s) => s.drop('reset')); await word(page, 'Offline'); } },
  'signed-out': { before: (server) => scenes.report(session(server)), act: async (page, server) => { await live(page); server.faults.signedOut = true; server.sessions.forEach((s) => s.drop('bye', 'auth')); await word(page, 'Signed out'); await page.keyboard.press('Escape'); await has(page, 'What is on this page may be old'); } },
  'sign-in': { before: (server) => { server.key = 'k'.repeat(40); }, act: (page) => page.waitForSelector('#key') },
  gap: { before: (server) => scenes.report(session(server)), act: async (page, server) => { await live(page); const [s] = server.sessions.values(); server.faults.stream = [502]; s.drop('reset'); scenes.running(s); scenes.done(s); s.trim(s.log.length - 2); await word(page, 'Live, gap'); await has(page, 'trimmed'); } },
  draining: { before: (server) => scenes.report(session(server)), act: async (page, server) => { await live(page); server.faults.stream = [...RETRIES]; server.sessions.forEach((s) => s.drop('bye', 'draining')); await has(page, 'The server is restarting'); } },
  closed: { before: (server) => { const s = session(server); scenes.report(s); s.emit('closed', { reason: 'idle' }); s.state = 'closed'; }, act: async (page) => { await page.click('#session'); await page.click('.pick'); await word(page, 'Closed'); } },
  gone: { before: (server) => scenes.report(session(server)), act: async (page, server) => { await live(page); server.sessions.forEach((s) => { s.deleted = true; s.drop('end'); }); await word(page, 'Gone'); } },
  running: { before: (server) => { const s = session(server); scenes.report(s); scenes.running(s); scenes.tool(s); }, act: async (page) => { await live(page); await has(page, 'Running'); } },
  'needs-input': { before: (server) => { const s = session(server); scenes.report(s); scenes.running(s); scenes.approval(s); }, act: async (page) => { await live(page); await has(page, 'Needs your answer'); await has(page, 'refused in'); } },
  refusing: { before: (server) => { const s = session(server); scenes.running(s); scenes.approval(s); }, act: async (page) => { await live(page); await page.click('.card button:has-text("Refuse")'); await page.waitForSelector('.refuse input'); } },
  'power-card': { before: (server) => { const s = session(server); scenes.running(s); scenes.powerCard(s); }, act: async (page) => { await live(page); await has(page, 'Claude asks to cycle the VM'); } },
  stopping: { before: (server) => { const s = session(server); scenes.running(s); server.holdCancel = true; }, act: async (page) => { await live(page); await page.click('#stop'); await has(page, 'Stopping'); } },
  stopped: { before: (server) => { const s = session(server); scenes.running(s); }, act: async (page) => { await live(page); await page.click('#stop'); await has(page, 'Stopped'); } },
  failed: { before: (server) => { const s = session(server); scenes.running(s); scenes.failed(s); }, act: async (page) => { await live(page); await has(page, 'API Error: 529 overloaded'); } },
  unattended: { before: (server) => { const s = session(server, { mode: 'unattended' }); scenes.running(s); s.emit('mode', { mode: 'unattended', by: 'sam' }); }, act: async (page) => { await live(page); await has(page, 'Unattended: commands run without asking.'); } },
  unsent: { before: (server) => { scenes.report(session(server)); }, act: async (page, server) => { await live(page); server.faults.api = (request) => request.path.endsWith('/turns') && 'destroy'; await page.fill('#prompt', 'And is the backup of last night whole?'); await page.click('#send'); await has(page, 'Not sent.'); } },
  'host-silent': { before: (server) => { scenes.report(session(server)); server.unseen = 'the host was not reached: connection timed out'; }, act: async (page) => { await has(page, 'not known'); await page.click('#power-open'); await has(page, 'timed out'); } },
  power: { before: (server) => { scenes.report(session(server)); server.vm.qmp = 'dead'; server.advice = 'QEMU does not answer: a cycle ends it.'; }, act: async (page) => { await has(page, 'QEMU is silent'); await page.click('#power-open'); await has(page, 'a cycle ends it'); } },
  confirm: { before: (server) => scenes.report(session(server)), act: (page) => confirming(page, 'Cycle') },
  typed: { before: (server) => { scenes.report(session(server)); server.typed = true; }, act: async (page) => { await confirming(page, 'Reset'); await has(page, 'Type: reset 102'); } },
  expired: { before: (server) => { scenes.report(session(server)); server.expires = 0.1; }, act: async (page) => { await page.click('#power-open'); await page.click('.verb:has-text("Stop,")'); await page.click('.chip:has-text("Disk full")'); await has(page, 'too old by now'); } },
  working: { before: (server) => scenes.report(session(server)), ...outcome('Cycle', { outcome: 'verified', held: true, step: 'stopped' }, 'The host is at: stopped') },
  verified: { before: (server) => scenes.report(session(server)), ...outcome('Cycle', { outcome: 'verified', detail: 'the VM was seen to be running', stdout: 'stop: done\nstart: done\n' }, 'Verified running again') },
  'sent-not-verified': { before: (server) => scenes.report(session(server)), ...outcome('Stop', { outcome: 'sent_not_verified', detail: 'told to stop, and its QEMU process is still there: it waits for storage' }, 'Sent, not verified') },
  refused: { before: (server) => scenes.report(session(server)), ...outcome('Start', { outcome: 'refused', detail: 'already running', rc: 255 }, 'Refused') },
  'verb-failed': { before: (server) => scenes.report(session(server)), ...outcome('Cycle', { outcome: 'failed', detail: 'stopped, and not started: no space left on device; the VM is stopped', rc: 255 }, 'Failed') },
  'not-sent': { before: (server) => scenes.report(session(server)), ...outcome('Reset', { outcome: 'not_sent', detail: 'the host was not reached: Connection refused' }, 'Not sent') },
  unknown: { before: (server) => scenes.report(session(server)), ...outcome('Reset', { outcome: 'unknown', detail: 'no end within the time; look at the status', rc: null }, 'Outcome unknown') },
  forensics: { before: (server) => scenes.report(session(server)), act: async (page) => { await page.click('#power-open'); await page.click('button:has-text("Forensics")'); await has(page, 'D (disk sleep)'); } },
  sessions: { before: (server) => { scenes.report(session(server)); const b = session(server, { name: 'Backup host, nightly' }); scenes.running(b); scenes.approval(b); session(server, { name: 'Kernel update', mode: 'unattended' }); }, act: async (page) => { await page.click('#session'); await has(page, 'needs an answer'); } },
  'new-session': { act: async (page) => { await page.click('#session'); await page.click('button:has-text("New session")'); await page.click('.chip:has-text("unattended")'); await has(page, 'nobody is asked'); } },
  find: { before: (server) => scenes.report(session(server)), act: async (page) => { await live(page); await page.click('#session'); await page.click('button:has-text("Find in this one")'); await page.fill('#find', 'postgres'); await has(page, '2 places'); } },
  'session-edit': { before: (server) => scenes.report(session(server)), act: async (page) => { await page.click('#session'); await page.click('button[aria-label^="More for"]'); await has(page, 'Delete the session'); } },
  details: { before: (server) => scenes.report(session(server)), act: async (page) => { await live(page); await page.click('#link'); await has(page, 'Place in the log'); } },
  'by-hand': { act: async (page) => { await page.click('button:has-text("By hand")'); await has(page, 'systemctl --failed'); } },
};
