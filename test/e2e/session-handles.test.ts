// Session ids as clients have them: opaque, good at their own endpoint only, and good again after the gateway was started anew.
// Run by bun test against bin/sluice, over a server in process. Promises: every process has ended when its test has; keys are made in a folder of the test's.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fixtureCommand, type Served, startGateway, stopAll } from '../fixtures/harness.ts';
import { LegacyServer } from '../fixtures/legacy-server.ts';
import { RpcClient } from '../fixtures/rpc-client.ts';

const TEST_MS_MAX = 60_000;

const server = new LegacyServer('far');
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-handles-'));
});
afterEach(stopAll);
afterAll(() => {
  server.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A gateway over the server by two names and a process, with its data in a folder of that name. */
const start = (data: string): Promise<Served> =>
  startGateway(
    { one: { url: server.url }, two: { url: server.url }, near: fixtureCommand('legacy') },
    { dataDir: join(folder, data), log: { level: 'debug' } },
  );

/** What a client is told when it goes on with its session elsewhere, or later. */
async function tried(url: string, session: string | null): Promise<[number, string]> {
  const client = new RpcClient(url);
  client.session = session;
  const response = await client.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
  const body = await response.text();
  return [response.status, /"gw":"(\w+)"/.exec(body)?.[1] ?? ''];
}

const FINE = [200, ''] as const;
const UNKNOWN = [404, 'GW_SESSION_UNKNOWN'] as const;

async function opened(url: string): Promise<string> {
  const client = new RpcClient(url);
  await client.initialize();
  return client.session ?? '';
}

describe('a session id', () => {
  test(
    'is sealed on every way, shows nothing of the server’s own, and is refused everywhere but where it was given',
    async () => {
      const gateway = await start('a');
      const paths = ['/mcp', '/mcp/one', '/mcp/two', '/mcp/near'];
      for (const path of paths) {
        const session = await opened(gateway.url + path);
        expect(session).toMatch(/^[A-Za-z0-9_-]{60,900}$/);
        for (const own of server.sessionIds)
          expect(Buffer.from(session, 'base64url').includes(own)).toBe(false);
        for (const other of paths)
          expect([path, other, ...(await tried(gateway.url + other, session))]).toEqual([
            path,
            other,
            ...(other === path ? FINE : UNKNOWN),
          ]);
      }
      // Nor does the server's own id open anything.
      const [own = ''] = server.sessionIds;
      expect(await tried(`${gateway.url}/mcp/one`, own)).toEqual([...UNKNOWN]);
      const { key } = (
        JSON.parse(readFileSync(join(folder, 'a', 'keys.json'), 'utf8')) as { keys: [{ key: string }] }
      ).keys[0];
      await gateway.stop();
      expect(key.length).toBe(43);
      expect(gateway.stderr()).not.toContain(key);
    },
    TEST_MS_MAX,
  );

  test(
    'of an HTTP server outlives the gateway, and does not with other keys; what lived in the gateway has ended',
    async () => {
      const first = await start('b');
      const far = await opened(`${first.url}/mcp/one`);
      const all = await opened(`${first.url}/mcp`);
      const near = await opened(`${first.url}/mcp/near`);
      expect(await tried(`${first.url}/mcp/one`, far)).toEqual([...FINE]);
      expect(await first.stop()).toBe(0);
      expect(statSync(join(folder, 'b', 'keys.json')).mode & 0o777).toBe(0o600);

      const second = await start('b');
      expect(await tried(`${second.url}/mcp/one`, far)).toEqual([...FINE]);
      expect(await tried(`${second.url}/mcp`, all)).toEqual([...UNKNOWN]);
      expect(await tried(`${second.url}/mcp/near`, near)).toEqual([...UNKNOWN]);
      await second.stop();

      const stranger = await start('c');
      expect(await tried(`${stranger.url}/mcp/one`, far)).toEqual([...UNKNOWN]);
      await stranger.stop();
    },
    TEST_MS_MAX,
  );
});

describe('keys that cannot be kept', () => {
  test(
    'are said so once, and the gateway serves',
    async () => {
      const file = join(folder, 'a file');
      writeFileSync(file, '');
      const gateway = await start('a file');
      const session = await opened(`${gateway.url}/mcp/one`);
      expect(await tried(`${gateway.url}/mcp/one`, session)).toEqual([...FINE]);
      await gateway.stop();
      const said = gateway
        .stderr()
        .split('\n')
        .filter((line) => line.includes('keys of session ids cannot be kept'));
      expect(said.length).toBe(1);
      expect(JSON.parse(said[0] ?? '')).toMatchObject({ level: 'warn', file: join(file, 'keys.json') });
    },
    TEST_MS_MAX,
  );

  test(
    'are none without a home: a note says what to set',
    async () => {
      const gateway = await startGateway(
        { one: { url: server.url } },
        {},
        { HOME: '', XDG_STATE_HOME: 'relative/is/ignored' },
      );
      expect(gateway.stderr()).toContain('note: nothing is kept');
      await gateway.stop();
    },
    TEST_MS_MAX,
  );
});
