// How a page looks to whoever cannot see it, sees it narrow or in the dark, or has no mouse: what is wrong with it.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa'];
const WIDTHS = [1280, 360];
const SCHEMES = ['light', 'dark'];

// What Tab does not reach in the order of the page, or reaches without showing where it is. Of radio
// buttons one of each group is a stop; what is folded away is none.
async function byTab(page) {
  const count = await page.evaluate(() => {
    const groups = new Set();
    const wanted = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]';
    const stops = [...document.querySelectorAll(wanted)].filter((one) => {
      if (one.disabled || one.tabIndex < 0 || !one.checkVisibility({ visibilityProperty: true })) return false;
      if (one.type !== 'radio') return true;
      const group = `${one.form?.action} ${one.name}`;
      const mine = one.checked || (!groups.has(group) && !document.querySelector(`input[name="${one.name}"]:checked`));
      if (mine) groups.add(group);
      return mine;
    });
    window.visited = [];
    window.watching?.abort();
    window.watching = new AbortController();
    document.addEventListener('focusin', ({ target }) => {
      const look = getComputedStyle(target);
      const at = window.stops.indexOf(target);
      if (at >= 0) window.visited.push([at, look.outlineStyle !== 'none' || look.boxShadow !== 'none']);
    }, { signal: window.watching.signal });
    window.stops = stops;
    stops[0]?.focus();
    // A date is entered in parts, each of which is a stop; so is what scrolls, in some browsers.
    const scrolls = [...document.querySelectorAll('.scroll, pre')].filter((one) => one.scrollWidth > one.clientWidth);
    return stops.length + 4 * stops.filter((one) => one.type === 'date').length + scrolls.length;
  });
  // One after another, without waiting for each; a key that is held down repeats.
  await Promise.all(Array.from({ length: count - 1 }, () => page.keyboard.down('Tab')));
  await page.keyboard.up('Tab');
  return page.evaluate(() => {
    const named = (at) => window.stops[at].outerHTML.slice(0, 120);
    const faults = window.stops.flatMap((one, at) => (one.tabIndex > 0 ? [`a tabindex of its own: ${named(at)}`] : []));
    const order = window.visited.map(([at]) => at);
    const strayed = window.stops.findIndex((_, at) => order[at] !== at);
    if (strayed >= 0) faults.push(`Tab does not reach ${named(strayed)} at its place`);
    // The first was put in focus by a script, which need not show it.
    window.visited.slice(1).forEach(([at, shown]) => { if (!shown) faults.push(`no focus to be seen: ${named(at)}`); });
    // What shows in focus alone, as the way past the navigation does, would lie on the rest.
    document.activeElement.blur();
    scrollTo(0, 0);
    return faults;
  });
}

// What is wrong with the page that is open: at both widths, in both schemes. It is not loaded anew, so that the answer
// to a form can be looked at, too.
export async function looks(page, name = new URL(page.url()).pathname) {
  const faults = [];
  await page.evaluate(axe);
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    // What is folded away is looked at, too.
    for (const unfold of [false, true]) {
      await page.evaluate((open) => document.querySelectorAll('details').forEach((fold) => { fold.open = open; }), unfold);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wide > 0) faults.push(`${name} ${width}: ${wide} px too wide${unfold ? ', unfolded' : ''}`);
      // Where a table has become cards, nothing of it is hidden sideways.
      const hidden = await page.evaluate(() => [...document.querySelectorAll('.cards')].filter((table) => (
        getComputedStyle(table).display === 'block' && table.parentElement.scrollWidth > table.parentElement.clientWidth
      )).map((table) => table.parentElement.scrollWidth - table.parentElement.clientWidth));
      for (const most of hidden) faults.push(`${name} ${width}: a card is ${most} px too wide`);
    }
    faults.push(...(await byTab(page)).map((fault) => `${name} ${width}: ${fault}`));
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme });
      const found = await page.evaluate((tags) => window.axe.run(document, { runOnly: tags, resultTypes: ['violations'] }), WCAG);
      for (const fault of found.violations) {
        faults.push(`${name} ${colorScheme} ${width}: ${fault.id}: ${fault.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`);
      }
    }
  }
  return faults;
}

// Watches a page for what the browser complains about, but for answers that refuse.
export function complaints(page) {
  const faults = [];
  page.on('console', (said) => {
    if (said.type() === 'error' && !/status of 4\d\d/.test(said.text())) faults.push(`${page.url()}: ${said.text()}`);
  });
  page.on('pageerror', (why) => faults.push(`${page.url()}: ${why}`));
  return faults;
}
