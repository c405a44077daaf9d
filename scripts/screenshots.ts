// Takes the pictures of the dashboard that README.md and docs/dashboard.md show: a gateway with servers, some traffic, a browser.
// Called by people after the page has changed: `bun scripts/screenshots.ts`. Promises: docs/images/ holds what is listed here, each picture below 200 KB; all that was
// started ends; exit code 1 when there is no Chromium or the page has a fault.
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  chromiumPath,
  dashboardLink,
  type Look,
  startBrowser,
  type Visit,
  visit,
} from '../test/fixtures/dashboard.ts';
import {
  fixtureCommand,
  packageCommand,
  ROOT,
  type Served,
  startFixture,
  startGateway,
  stopAll,
} from '../test/fixtures/harness.ts';

const OUT = join(ROOT, 'docs/images');
const BYTES_MAX = 200_000;
const TOKEN = 'a-token-for-pictures-that-is-long-enough';
/** Time in which the curves grow. */
const TRAFFIC_MS = 58_000;

const DESK: Look = { width: 1280, height: 860, colorScheme: 'light' };
const PHONE: Look = { width: 390, height: 844, colorScheme: 'light', isPhone: true };
const dark = (look: Look): Look => ({ ...look, colorScheme: 'dark' });

/** A call as a client of 2026-07-28 sends it. */
function call(gateway: Served, server: string, name: string, args: object): Promise<unknown> {
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const params = { name, arguments: args, _meta: meta };
  return fetch(`${gateway.url}/mcp/${server}`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      'MCP-Protocol-Version': '2026-07-28',
      'Mcp-Method': 'tools/call',
      'Mcp-Name': name,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
  }).then((response) => response.text());
}

/** Calls in waves until it is told to stop. */
async function traffic(gateway: Served, signal: AbortSignal): Promise<void> {
  for (let turn = 0; !signal.aborted; turn++) {
    const many = 4 + Math.round(3 * Math.sin(turn / 25));
    await Promise.all(
      Array.from({ length: many }, (_, at) =>
        at % 4 === 0
          ? call(gateway, 'files', 'list_directory', { path: ROOT })
          : call(gateway, at % 4 === 1 ? 'search' : 'notes', 'echo', { text: `hello ${turn}` }),
      ),
    );
    if (turn % 20 === 0) await call(gateway, 'mail', 'echo', { text: 'nobody hears this' });
    await Bun.sleep(60);
  }
}

async function shot(at: Visit, name: string): Promise<void> {
  const path = join(OUT, `${name}.png`);
  await at.page.screenshot({ path });
  const { size } = statSync(path);
  console.log(`${name}.png  ${Math.round(size / 1000)} kB`);
  if (size > BYTES_MAX) throw new Error(`${name}.png is larger than ${BYTES_MAX} bytes`);
}

/** Servers that come by the API, as an operator adds them. */
async function addServers(link: string, servers: Readonly<Record<string, object>>): Promise<void> {
  for (const [name, settings] of Object.entries(servers)) {
    const response = await fetch(new URL('/api/v1/servers', link), {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
      body: JSON.stringify({ name, settings }),
    });
    if (!response.ok) throw new Error(`cannot add ${name}: ${await response.text()}`);
  }
}

/** A tool that asks back, half way through. */
async function asking(at: Visit): Promise<void> {
  await at.go('tools/search/test_elicitation', 'test_elicitation');
  const { page } = at;
  await page.getByLabel('message').fill('Who is asking?');
  await page.getByRole('button', { name: 'Call', exact: true }).click();
  const form = page.getByRole('form', { name: 'The server asks' });
  await form.getByLabel('username').fill('ada');
  await form.scrollIntoViewIfNeeded();
}

/** The overview, once its curves have grown. */
const overview =
  (name: string) =>
  async (at: Visit): Promise<void> => {
    await at.page.getByLabel('Window').selectOption('1 minute');
    await at.page.waitForTimeout(TRAFFIC_MS);
    await shot(at, name);
  };

async function pictures(link: string): Promise<readonly string[]> {
  const browser = await startBrowser();
  const faults: string[] = [];
  const on = async (look: Look, take: (at: Visit) => Promise<void>): Promise<void> => {
    const at = await visit(browser, link, look);
    await take(at);
    faults.push(...at.faults());
    await at.close();
  };
  try {
    await Promise.all([
      on(DESK, overview('overview-light')),
      on(dark(DESK), overview('overview-dark')),
      on(PHONE, overview('overview-phone-light')),
    ]);
    await on(DESK, async (at) => {
      await at.go('servers', 'Servers');
      await shot(at, 'servers-light');
      await asking(at);
      await shot(at, 'try-it-light');
    });
    await on(dark(DESK), async (at) => {
      await at.go('traffic', 'Live traffic');
      await at.page.getByRole('button', { name: 'Pause' }).click();
      await at.page
        .getByRole('link', { name: /list_directory/ })
        .first()
        .click();
      await at.page.getByText('At the server').waitFor();
      await shot(at, 'exchange-dark');
    });
    await on(dark(PHONE), async (at) => {
      await at.go('servers', 'Servers');
      await shot(at, 'servers-phone-dark');
    });
  } finally {
    await browser.close();
  }
  return faults;
}

if (chromiumPath() === null) {
  console.error('there is no Chromium: apt-get install chromium, or set SLUICE_CHROMIUM to the path of one');
  process.exit(1);
}
mkdirSync(OUT, { recursive: true });
const [modern, legacy] = await Promise.all([startFixture('modern'), startFixture('legacy')]);
const gateway = await startGateway(
  {
    search: { url: modern.url },
    notes: { replicas: [{ url: modern.url }, { url: `${modern.url}?second` }] },
    files: packageCommand('@modelcontextprotocol/server-filesystem/dist/index.js', ROOT),
    mail: { url: 'http://127.0.0.1:9/mcp' },
  },
  { admin: { token: TOKEN }, workers: 2, log: { level: 'error' } },
);
const link = dashboardLink(gateway, TOKEN);
await addServers(link, { archive: { url: legacy.url }, ledger: fixtureCommand('modern') });
const stop = new AbortController();
const running = traffic(gateway, stop.signal);
try {
  const faults = await pictures(link);
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) process.exitCode = 1;
} finally {
  stop.abort();
  await running;
  await stopAll();
}
