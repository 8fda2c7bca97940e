// Takes the pictures of the crate's docs/, one of each state: `node screenshots.mjs DIR [PART]`.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Lane, launch, PHONE, scene } from './support/browser.mjs';
import { STATES } from './support/states.mjs';

const [directory, part = ''] = process.argv.slice(2);
mkdirSync(directory, { recursive: true });
const DESK = { width: 1280, height: 860 };
/** Those that say most are shown in both colours and on a desk. */
const MOST = ['blank', 'live', 'needs-input', 'power', 'confirm'];

const lane = new Lane(await launch());
for (const [name, state] of Object.entries(STATES)) {
  if (!name.includes(part)) continue;
  const looks = [[PHONE, 'dark'], ...(MOST.includes(name) ? [[PHONE, 'light'], [DESK, 'dark'], [DESK, 'light']] : [])];
  for (const [viewport, colorScheme] of looks) {
    const touch = viewport === PHONE && { hasTouch: true, deviceScaleFactor: 1.5 };
    await scene(lane, { viewport, colorScheme, before: state.before, context: { ...touch } }, async ({ page, server, context }) => {
      await state.act(page, server, context);
      await page.mouse.move(0, 0);
      await page.waitForTimeout(250);
      await page.screenshot({ path: join(directory, `${name}-${viewport === PHONE ? 'phone' : 'desk'}-${colorScheme}.png`) });
    }).catch((error) => console.error(`${name}: ${error.message.slice(0, 300)}`));
  }
}
process.exit(0);
