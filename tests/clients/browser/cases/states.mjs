// Each state shows itself in words, passes axe in light and dark at 320, 390 and 1280 px, and has no target under 44 px.
import assert from 'node:assert/strict';
import { axe, scene, tooSmall } from '../support/browser.mjs';
import { STATES } from '../support/states.mjs';

const COLOUR_RULES = ['color-contrast', 'link-in-text-block'];
const SIZES = [[320, 640], [390, 844], [1280, 860]];

export const cases = Object.entries(STATES).map(([name, state]) => ({
  name: `state ${name}`,
  run: (browser) => scene(browser, { before: state.before, own: state.own }, async ({ server, page, context }) => {
    await state.act(page, server, context);
    const wrong = [];
    for (const [width, height] of SIZES) {
      await page.setViewportSize({ width, height });
      wrong.push(...(await tooSmall(page)).map((one) => `${width}: ${one}`));
      // All but the colours is the same in both.
      for (const [colorScheme, rules] of [['dark', undefined], ['light', COLOUR_RULES]]) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        wrong.push(...(await axe(page, rules)).map((one) => `${width} ${colorScheme}: ${one}`));
      }
    }
    assert.deepEqual(wrong, []);
  }),
}));
