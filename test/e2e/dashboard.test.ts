// The dashboard in a real browser, on a real gateway: what an operator does there, and what a person who sees, hears or types differently meets.
// Run by bun test. Promises: the system's own Chromium; without one it says so and is skipped; every process has ended when the file has.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { Browser, Page } from 'playwright-core';
import { answer } from '../../examples/demo-http.ts';
import {
  chromiumPath,
  dashboardLink,
  type Look,
  startBrowser,
  type Visit,
  violations,
  visit,
} from '../fixtures/dashboard.ts';
import { type Served, startFixture, startGateway, stopAll } from '../fixtures/harness.ts';

const PATIENCE_MS = 240_000;
const TOKEN = 'a-token-for-this-test-that-is-long-enough';
const DESK: Look = { width: 1280, height: 900, colorScheme: 'light' };
const PHONE: Look = { width: 390, height: 844, colorScheme: 'light', isPhone: true };

const VIEWS: readonly (readonly [string, string])[] = [
  ['overview', 'Overview'],
  ['servers', 'Servers'],
  ['servers/clock', 'clock'],
  ['tools', 'Tools'],
  ['tools/clock/roll', 'Roll dice'],
  ['traffic', 'Live traffic'],
  ['sessions', 'Sessions'],
  ['caches', 'Caches'],
  ['configuration', 'Configuration'],
  ['audit', 'Audit'],
];

const hasBrowser = chromiumPath() !== null;
if (!hasBrowser)
  console.log(
    'dashboard.test.ts is skipped: there is no Chromium (apt-get install chromium, or SLUICE_CHROMIUM)',
  );

let browser: Browser;
let gateway: Served;
let modern: Served;
let legacy: Served;
let link = '';

beforeAll(async () => {
  if (!hasBrowser) return;
  [browser, modern, legacy] = await Promise.all([
    startBrowser(),
    startFixture('modern'),
    startFixture('legacy'),
  ]);
  gateway = await startGateway({ filed: { url: modern.url } }, { admin: { token: TOKEN } });
  link = dashboardLink(gateway, TOKEN);
}, PATIENCE_MS);

afterAll(async () => {
  await browser?.close();
  await stopAll();
}, PATIENCE_MS);

/** Adds a server over HTTP through the form: name, address, plan, apply. */
async function addServer(page: Page, name: string, url: string): Promise<void> {
  await page.getByRole('button', { name: 'Add a server' }).click();
  const form = page.getByRole('dialog', { name: 'Add a server' });
  await form.getByLabel('Name').fill(name);
  await form.getByLabel('Address').fill(url);
  await form.getByRole('button', { name: 'Show the plan' }).click();
  await form.getByRole('region', { name: 'Plan' }).getByText(name, { exact: true }).waitFor();
  await form.getByRole('button', { name: 'Apply' }).click();
  await page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
}

/** Calls the elicitation tool of a server and answers what it asks. */
async function tryElicitation(at: Visit, server: string): Promise<void> {
  const { page } = at;
  await at.go(`tools/${server}/test_elicitation`, 'test_elicitation');
  await page.getByLabel('message').fill('Who are you?');
  await page.getByRole('button', { name: 'Call', exact: true }).click();
  const questions = page.getByRole('form', { name: 'The server asks' });
  await questions.getByText('Who are you?').waitFor();
  await questions.getByLabel('username').fill('ada');
  await questions.getByLabel('email').fill('ada@example.org');
  await questions.getByRole('button', { name: 'Answer' }).click();
  await page.getByRole('region', { name: 'Text' }).getByText('ada@example.org').waitFor();
}

// without a browser there is nothing to look with: said above
describe.skipIf(!hasBrowser)('an operator', () => {
  for (const era of ['modern', 'legacy'] as const)
    test(
      `adds a ${era} server, tries a tool that asks back, sees the exchange, trips and resets its breaker, removes it`,
      async () => {
        const at = await visit(browser, link, DESK);
        const { page } = at;
        expect(page.url()).not.toContain(TOKEN);
        await at.go('servers', 'Servers');
        await addServer(page, era, (era === 'modern' ? modern : legacy).url);

        await at.go(`tools/${era}`, 'Tools');
        await page.getByRole('link', { name: /^test_elicitation Asks/ }).waitFor();
        await tryElicitation(at, era);

        await at.go('traffic', 'Live traffic');
        await page.getByLabel('Server').selectOption(era);
        await page.getByRole('link', { name: 'tools/call test_elicitation' }).first().click();
        const exchange = page.getByRole('dialog', { name: 'tools/call test_elicitation' });
        await exchange.getByText('At the server').waitFor();
        expect(await exchange.getByRole('region', { name: 'Request' }).textContent()).toContain(
          '"test_elicitation"',
        );
        await page.keyboard.press('Escape');
        await exchange.waitFor({ state: 'detached' });

        await at.go(`servers/${era}`, era);
        await page.getByRole('button', { name: /^Trip / }).click();
        await page.getByRole('cell', { name: 'open by hand' }).waitFor();
        await page.getByRole('button', { name: /^Reset / }).click();
        await page.getByRole('cell', { name: 'closed', exact: true }).waitFor();

        await page.getByRole('button', { name: 'Remove' }).click();
        const question = page.getByRole('dialog', { name: `Remove ${era}?` });
        await question.getByRole('region', { name: 'Plan' }).getByText('stops').waitFor();
        await question.getByRole('button', { name: 'Remove' }).click();
        await page.getByRole('heading', { level: 1, name: 'Servers' }).waitFor();
        await page.getByRole('link', { name: era, exact: true }).waitFor({ state: 'detached' });

        await at.go('audit', 'Audit');
        await page.getByText('remove', { exact: true }).first().waitFor();
        expect(at.faults()).toEqual([]);
        await at.close();
      },
      PATIENCE_MS,
    );

  test(
    'sees mistakes at their fields, and what a refused server would have been',
    async () => {
      const at = await visit(browser, link, DESK);
      const { page } = at;
      await at.go('tools/filed/test_elicitation', 'test_elicitation');
      await page.getByRole('button', { name: 'Call', exact: true }).click();
      await page.getByText('Needed.').waitFor();
      expect(await page.getByLabel('message').getAttribute('aria-invalid')).toBe('true');
      expect(at.faults()).toEqual([]);
      await at.go('servers', 'Servers');
      await page.getByRole('button', { name: 'Add a server' }).click();
      const form = page.getByRole('dialog', { name: 'Add a server' });
      await form.getByLabel('Name').fill('filed');
      await form.getByLabel('Address').fill('http://127.0.0.1:1/mcp');
      await form.getByRole('button', { name: 'Show the plan' }).click();
      await form.getByRole('alert').waitFor();
      expect(await form.getByRole('button', { name: 'Apply' }).count()).toBe(0);
      await at.close();
    },
    PATIENCE_MS,
  );

  test(
    'answers several questions at once, sees progress, pictures, failures, and the request for curl',
    async () => {
      const at = await visit(browser, link, DESK);
      const { page } = at;
      const outcome = page.getByRole('region', { name: 'Outcome' });
      const call = async (tool: string): Promise<void> => {
        await at.go(`tools/filed/${tool}`, tool);
        await page.getByRole('button', { name: 'Call', exact: true }).click();
      };
      await call('test_input_required_result_multiple_inputs');
      const questions = page.getByRole('form', { name: 'The server asks' });
      await questions.getByLabel('name').fill('Ada');
      await questions.getByLabel('Answer in the place of the model').fill('Good day,');
      await questions.getByRole('button', { name: 'Add to Folders' }).click();
      await questions.getByRole('textbox', { name: /^Folders 1/ }).fill('file:///home/ada');
      await questions.getByRole('button', { name: 'Answer', exact: true }).click();
      await outcome.getByText('Good day, Ada, of 1 roots', { exact: true }).waitFor();

      await call('test_tool_with_progress');
      await outcome.getByText('Progress 100 of 100').waitFor();
      await outcome.getByText('done', { exact: true }).waitFor();

      await call('test_image_content');
      const picture = outcome.getByRole('img', { name: 'What the tool drew' });
      await picture.waitFor();
      expect(await picture.evaluate((img) => img instanceof HTMLImageElement && img.naturalWidth > 0)).toBe(
        true,
      );

      await call('test_error_handling');
      await outcome.getByText('The tool says that it failed.').waitFor();

      await at.context.grantPermissions(['clipboard-read', 'clipboard-write']);
      await page.getByRole('button', { name: 'Copy for curl' }).click();
      await page.getByText('Copied', { exact: true }).waitFor();
      const command = await page.evaluate(() => navigator.clipboard.readText());
      // as it is pasted; where there is no curl, the words of it must do
      const said =
        Bun.which('curl') === null
          ? 'This tool intentionally returns an error for testing'
          : Bun.spawnSync(['/bin/sh', '-c', command]).stdout.toString();
      expect(command).toStartWith('curl -sN ');
      expect(said).toContain('This tool intentionally returns an error for testing');
      expect(at.faults()).toEqual([]);
      await at.close();
    },
    PATIENCE_MS,
  );

  test(
    'imports servers, changes one, switches it off, exports them, looks at what a reload would do',
    async () => {
      const at = await visit(browser, link, DESK);
      const { page } = at;
      await at.go('configuration', 'Configuration');
      await page.getByRole('button', { name: 'Import' }).click();
      const imported = page.getByRole('dialog', { name: 'Import servers' });
      await imported
        .getByRole('textbox')
        .fill(JSON.stringify({ mcpServers: { moved: { url: modern.url } } }));
      await imported.getByRole('button', { name: 'Show the plan' }).click();
      await imported.getByRole('button', { name: 'Import', exact: true }).click();
      await page.getByText('Added: moved').waitFor();

      await at.go('servers/moved', 'moved');
      await page.getByRole('button', { name: 'Edit' }).click();
      const form = page.getByRole('dialog', { name: 'Change moved' });
      await form.getByLabel('All settings (JSON)').check();
      await form
        .getByLabel('Settings', { exact: true })
        .fill(JSON.stringify({ url: modern.url, concurrencyMax: 7 }));
      await form.getByRole('button', { name: 'Show the plan' }).click();
      await form.getByText('moved: ').waitFor();
      await form.getByRole('button', { name: 'Apply' }).click();
      await page.getByRole('region', { name: 'Settings of moved' }).getByText('concurrencyMax').waitFor();
      await page.getByRole('button', { name: 'Disable' }).click();
      await page.getByRole('button', { name: 'Enable' }).waitFor();

      await at.go('configuration', 'Configuration');
      await page.getByRole('button', { name: 'Export' }).click();
      const exported = page.getByRole('dialog', { name: 'Export servers' });
      await exported.getByRole('region', { name: 'Servers' }).getByText('concurrencyMax').waitFor();
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Show the plan' }).click();
      await page.getByText('Nothing changes in the running gateway.').waitFor();

      await at.go('audit', 'Audit');
      await page.getByText('What changed').first().click();
      await page.getByRole('region', { name: 'Difference' }).first().waitFor();
      expect(at.faults()).toEqual([]);
      await at.close();
    },
    PATIENCE_MS,
  );

  test(
    'sees sessions and parked calls and ends them, empties a cache, chooses a theme',
    async () => {
      const at = await visit(browser, link, DESK);
      const { page } = at;
      const initialize = await fetch(`${gateway.url}/mcp/filed`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'initialize',
          params: {
            protocolVersion: '2025-11-25',
            capabilities: {},
            clientInfo: { name: 'test', version: '1' },
          },
        }),
      });
      expect(initialize.headers.get('mcp-session-id')).toBeString();
      await initialize.body?.cancel();
      await at.go('servers', 'Servers');
      await addServer(page, 'asker', legacy.url);
      await at.go('tools/asker/test_elicitation', 'test_elicitation');
      await page.getByLabel('message').fill('Nobody answers');
      await page.getByRole('button', { name: 'Call', exact: true }).click();
      await page.getByRole('form', { name: 'The server asks' }).waitFor();

      await at.go('sessions', 'Sessions');
      for (const button of [/^End parked call /, /^End session /]) {
        const before = await page.getByRole('button', { name: button }).count();
        expect(before).toBeGreaterThan(0);
        await page.getByRole('button', { name: button }).first().click();
        await page.getByRole('dialog', { name: 'End it?' }).getByRole('button', { name: 'End' }).click();
        await page.getByText('Ended', { exact: true }).first().waitFor();
        await page
          .getByRole('button', { name: button })
          .nth(before - 1)
          .waitFor({ state: 'detached' });
      }

      await at.go('caches', 'Caches');
      await page.getByRole('button', { name: 'Empty the cache of filed' }).click();
      await page.getByText('Emptied', { exact: true }).waitFor();

      const themeOf = (): Promise<string | undefined> =>
        page.evaluate(() => document.documentElement.dataset.theme);
      expect(await themeOf()).toBe('light');
      await page.getByRole('button', { name: 'Theme: system; change to light' }).click();
      await page.getByRole('button', { name: 'Theme: light; change to dark' }).click();
      expect(await themeOf()).toBe('dark');
      await page.reload();
      await page.getByRole('heading', { level: 1, name: 'Caches' }).waitFor();
      expect(await themeOf()).toBe('dark');
      expect(at.faults()).toEqual([]);
      await at.close();
    },
    PATIENCE_MS,
  );

  test(
    'needs the token, and gets in with it; out again when asked',
    async () => {
      const at = await visit(browser, link.replace(/#.*/, ''), DESK);
      const { page } = at;
      await page.getByLabel('Admin token').fill('wrong');
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.getByRole('alert').waitFor();
      await page.getByLabel('Admin token').fill(TOKEN);
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.getByRole('heading', { name: 'Overview' }).waitFor();
      await page.getByRole('button', { name: 'Log out' }).click();
      await page.getByLabel('Admin token').waitFor();
      // the browser itself tells of each 401 on its console
      expect(at.faults().filter((fault) => !fault.includes('401'))).toEqual([]);
      await at.close();
    },
    PATIENCE_MS,
  );

  test(
    'goes everywhere by keyboard',
    async () => {
      const at = await visit(browser, link, DESK);
      const { page } = at;
      await page.keyboard.press('Tab');
      expect(await page.evaluate(() => document.activeElement?.textContent?.trim())).toBe(
        'Skip to the content',
      );
      await page.keyboard.press('Enter');
      expect(await page.evaluate(() => document.activeElement?.id)).toBe('main');
      await page.keyboard.type('gs');
      await page.getByRole('heading', { level: 1, name: 'Servers' }).waitFor();
      await page.getByRole('link', { name: 'filed' }).waitFor();
      await page.keyboard.press('/');
      await page.keyboard.type('gs?nothing');
      expect(await page.getByRole('searchbox').inputValue()).toBe('gs?nothing');
      await page.getByText('No server is called like').waitFor();
      await page.getByRole('heading', { level: 1 }).click();
      await page.keyboard.press('?');
      await page.getByRole('dialog', { name: 'Keys' }).waitFor();
      await page.keyboard.press('Escape');
      await page.getByRole('dialog', { name: 'Keys' }).waitFor({ state: 'detached' });
      expect(at.faults()).toEqual([]);
      await at.close();
    },
    PATIENCE_MS,
  );
});

/** A gateway with something to see in every view: a few calls, a session, a server that is down, changes in the audit. */
async function startSeen(clock: string): Promise<string> {
  const seen = await startGateway(
    { clock: { url: clock }, down: { url: 'http://127.0.0.1:9/mcp' } },
    { admin: { token: TOKEN } },
  );
  const address = dashboardLink(seen, TOKEN);
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  const asked = async (url: string | URL, method: string, body: object, more: object = {}): Promise<void> => {
    await (await fetch(url, { method, headers: { ...headers, ...more }, body: JSON.stringify(body) })).text();
  };
  const hello = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'test', version: '1' },
  };
  for (const path of ['/mcp/clock', '/mcp/down'])
    await asked(seen.url + path, 'POST', { jsonrpc: '2.0', id: 1, method: 'initialize', params: hello });
  const admin = { authorization: `Bearer ${TOKEN}` };
  for (const weight of [1, 2])
    await asked(
      new URL('/api/v1/servers/more', address),
      'PUT',
      { replicas: [{ url: clock, weight }, { url: `${clock}?other` }] },
      admin,
    );
  return address;
}

// without a browser there is nothing to look with: said above
describe.skipIf(!hasBrowser)('every view', () => {
  const looks: readonly (readonly [string, Look])[] = [
    ['light', DESK],
    ['dark', { ...DESK, colorScheme: 'dark' }],
    ['light, on a phone', PHONE],
  ];
  let address = '';
  let demo: ReturnType<typeof Bun.serve>;
  beforeAll(async () => {
    demo = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: answer });
    address = await startSeen(`${demo.url}mcp`);
  }, PATIENCE_MS);
  afterAll(() => demo.stop(true));

  for (const [words, look] of looks)
    test(
      `${words}: axe-core finds nothing serious, nothing sticks out at the side`,
      async () => {
        const at = await visit(browser, address, look);
        const found: string[] = [];
        for (const [view, title] of VIEWS) {
          await at.go(view, title);
          const serious = (await violations(at.page)).filter((line) => /^(?:serious|critical) /.test(line));
          found.push(...serious.map((line) => `${view}: ${line}`));
          const beyond = await at.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          if (beyond > 0) found.push(`${view}: ${beyond} px wider than the window`);
        }
        expect(found).toEqual([]);
        expect(at.faults()).toEqual([]);
        await at.close();
      },
      PATIENCE_MS,
    );
});
