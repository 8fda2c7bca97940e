// Chromium, and what every page of it is held to: no error, no dialog, no request to anyone else.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { FakeServer } from './server.mjs';

export const modules = process.env.CLAUDE_EXEC_TEST_BROWSER ?? join(process.env.HOME, '.cache/claude-exec-tests/browser');
const require = createRequire(join(modules, 'package.json'));
const { chromium } = require('playwright-core');
const AXE = require.resolve('axe-core/axe.min.js');
export const executablePath = process.env.CLAUDE_EXEC_TEST_CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
export const PHONE = { width: 390, height: 844 };
const PATIENCE = 30000;

export function launch() {
  return chromium.launch({ executablePath, headless: true, args: FLAGS });
}

/**
 * Where cases run one after another. A context of its own costs each of them a process, which takes longer to start than
 * most cases take; so they share a page, and what is particular gets a context of its own. Nothing of a page outlives
 * it: every server has a port, and so an origin, of its own. The one header that asks for a process for each origin is
 * left out there.
 */
export class Lane {
  constructor(browser) {
    this.browser = browser;
  }

  newContext(options) {
    return this.browser.newContext({ viewport: PHONE, colorScheme: 'dark', serviceWorkers: 'block', deviceScaleFactor: 1, ...options });
  }

  /** The shared page, as if it were a new one. */
  async page({ viewport = PHONE, colorScheme = 'dark' }) {
    this.shared ??= await this.newContext({}).then((context) => context.newPage());
    await this.shared.setViewportSize(viewport);
    await this.shared.emulateMedia({ colorScheme, reducedMotion: 'no-preference', forcedColors: 'none' });
    await this.shared.mouse.move(0, 0);
    return this.shared;
  }

  /** Trusts the shared page no more. */
  async renew() {
    const { shared } = this;
    this.shared = undefined;
    await closed(shared?.context());
  }
}

const closed = (context) => context && Promise.race([context.close(), new Promise((done) => setTimeout(done, 3000))]);

/** Notes what a page does wrong by itself. */
function watch(page, server, options, wrong) {
  page.setDefaultTimeout(PATIENCE);
  page.on('pageerror', (error) => wrong.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(server.url)) wrong.push(`request: ${request.url()}`);
  });
  page.on('requestfailed', (request) => {
    const blocked = options.expectRefused && /csp/i.test(request.failure()?.errorText ?? '');
    if (blocked) wrong.splice(wrong.indexOf(`request: ${request.url()}`), 1);
  });
  page.on('console', (message) => {
    const text = message.text();
    const expected = /Service Worker registration blocked|Failed to load resource|ERR_/.test(text) || options.expectRefused?.test(text);
    if (['error', 'warning'].includes(message.type()) && !expected) wrong.push(`console: ${text}`);
  });
}

/**
 * A server and a page on it. `run` gets both; whatever the page does wrong by itself fails the case. `own`: a context of
 * its own, for a clock that is moved, a network that goes, or more than one tab.
 */
export async function scene(lane, options, run) {
  const { viewport, colorScheme, workers, context: more, before, at = '/' } = options;
  const isOwn = Boolean(options.own || workers || more);
  const leftOut = isOwn ? [] : ['cross-origin-opener-policy'];
  const server = await new FakeServer({ page: options.page ?? globalThis.pageDirectory, leftOut }).start();
  const wrong = [];
  let context;
  let page;
  try {
    if (isOwn) {
      context = await lane.newContext({ ...(viewport && { viewport }), ...(colorScheme && { colorScheme }), ...(workers && { serviceWorkers: workers }), ...more });
      context.on('page', (opened) => watch(opened, server, options, wrong));
      await before?.(server, context);
      page = await context.newPage();
    } else {
      await before?.(server);
      page = await lane.page({ viewport, colorScheme });
      watch(page, server, options, wrong);
    }
    if (at !== null) await page.goto(server.url + at);
    await run({ server, page, context, wrong });
    if (wrong.length) throw new Error(wrong.join('\n'));
  } finally {
    if (isOwn) await closed(context);
    else if (page) {
      page.removeAllListeners();
      // The process stays, for the next case.
      await page.goto('about:blank').catch(() => lane.renew());
    }
    await server.stop();
  }
}

/** What axe finds, as text; empty when it finds nothing. `rules`: only these. */
export async function axe(page, rules) {
  if (!(await page.evaluate(() => 'axe' in window))) {
    // Through the protocol and not as a script element: the page's policy stays as it is.
    const { readFileSync } = await import('node:fs');
    await page.evaluate(readFileSync(AXE, 'utf8'));
  }
  return page.evaluate(async (only) => {
    const found = await window.axe.run(document, { resultTypes: ['violations'], preload: false, ...(only && { runOnly: only }) });
    return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => `${node.target.join(' ')} ${node.any[0]?.message ?? ''}`).slice(0, 3).join(' | ')}`);
  }, rules);
}

/** What can be pressed and is smaller than 44 px, and what hangs over the side. Links in running text are exempt. */
export function tooSmall(page) {
  return page.evaluate(() => {
    const small = [];
    const top = document.querySelector('dialog[open]') ?? document;
    for (const element of top.querySelectorAll('button, summary, textarea, select, .chip, input:not([type=radio])')) {
      const box = element.getBoundingClientRect();
      if (!element.checkVisibility({ visibilityProperty: true }) || box.width <= 1) continue;
      if (box.width < 43.99 || box.height < 43.99) small.push(`${element.tagName} ${element.id || element.textContent} ${box.width}x${box.height}`);
    }
    const over = document.scrollingElement.scrollWidth - window.innerWidth;
    if (over > 0) small.push(`the page is ${over} px wider than the screen`);
    return small;
  });
}

/** Waits until `look` is true on the page. */
export function until(page, look, argument) {
  // Not with each frame, which would be drawn for nothing.
  return page.waitForFunction(look, argument, { timeout: PATIENCE, polling: 40 });
}

/** Waits until something is true here. */
export async function eventually(what, look) {
  const end = Date.now() + PATIENCE;
  while (!(await look())) {
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

export const text = (page, selector) => page.locator(selector).first().innerText();
export const word = (page, expected) => until(page, (wanted) => document.getElementById('link-word').textContent.startsWith(wanted), expected);
