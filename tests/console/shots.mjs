// Pictures of every page, light and dark, narrow and wide, in the folder that is named.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { start } from './gateway.mjs';
import { browser, furnish, setUp } from './pages.mjs';

const folder = process.argv[2] || 'target/console-shots';
mkdirSync(folder, { recursive: true });
const gateway = await start();
const chromium = await browser();
try {
  const inside = await chromium.newContext();
  const page = await inside.newPage();
  const key = await setUp(page, gateway);
  const all = await furnish(page, gateway, key);
  const state = await inside.storageState();
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [360, 1280]) {
      for (const [kind, paths] of Object.entries(all)) {
        const context = await chromium.newContext({
          colorScheme, viewport: { width, height: 900 },
          ...(kind === 'inside' ? { storageState: state } : {}),
        });
        const one = await context.newPage();
        for (const path of paths) {
          await one.goto(gateway.base + path);
          const called = path.replace(/[^\w-]+/g, '_').replace(/^_|_$/g, '').slice(0, 60) || 'landing';
          await one.screenshot({ path: join(folder, `${kind}-${called}-${colorScheme}-${width}.png`), fullPage: true });
        }
        await context.close();
      }
    }
  }
  console.log(`pictures are in ${folder}`);
} finally {
  await chromium.close();
  gateway.stop();
}
