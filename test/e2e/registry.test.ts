// Servers added, changed and removed while the gateway runs: they take effect in every worker, harm nobody, outlive restarts and crashes.
// Run by `bun test`, over the whole program; times are printed and not asserted.
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { registryPath } from '../../src/control/registry/place.ts';
import { crash } from '../fixtures/crash.ts';
import { modernHeaders, modernRequest } from '../fixtures/messages.ts';
import { type RegistryGateway, startRegistryGateway } from '../fixtures/registry-gateway.ts';

const folders: string[] = [];
const gateways = new Set<RegistryGateway>();

function folderOf(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-registry-'));
  folders.push(folder);
  return folder;
}

async function start(...args: Parameters<typeof startRegistryGateway>): Promise<RegistryGateway> {
  const gateway = await startRegistryGateway(...args);
  gateways.add(gateway);
  return gateway;
}

/** A server that says who it is. */
const upstream = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  async fetch(request) {
    const { id } = (await request.json()) as { id: unknown };
    const text = new URL(request.url).pathname;
    return Response.json({
      jsonrpc: '2.0',
      id,
      result: { resultType: 'complete', content: [{ type: 'text', text }] },
    });
  },
});
const settingsOf = (name: string) => ({ url: `http://127.0.0.1:${upstream.port}/${name}`, era: 'modern' });

afterAll(async () => {
  await Promise.all([...gateways].map((gateway) => gateway.kill()));
  await upstream.stop(true);
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Calls a tool; what came of it: the upstream's path, or the status. */
async function call(gateway: RegistryGateway, server: string, isFresh = false): Promise<string> {
  const body = modernRequest(1, 'tools/call', { name: 'x', arguments: {} });
  const headers = { ...modernHeaders('tools/call', 'x'), ...(isFresh && { connection: 'close' }) };
  const reply = await fetch(`${gateway.url}/mcp/${server}`, {
    method: 'POST',
    headers,
    body,
  });
  const value = (await reply.json()) as { result?: { content: readonly { text: string }[] } };
  return value.result?.content[0]?.text ?? String(reply.status);
}

interface Listed {
  readonly items: readonly { readonly name: string; readonly origin: string; readonly isShadowed: boolean }[];
}

async function listed(gateway: RegistryGateway): Promise<Listed['items']> {
  return ((await gateway.api('GET', '/api/v1/servers')).body as Listed).items;
}

describe('a gateway that starts without a server', () => {
  test('serves what is registered, in every worker, keeps it over a restart, and lets it go again', async () => {
    const folder = folderOf();
    const gateway = await start({ folder, settings: { workers: 2 } });
    expect(await call(gateway, 'near')).toBe('404');
    const added = await gateway.api('POST', '/api/v1/servers', {
      name: 'near',
      settings: settingsOf('near'),
    });
    expect([added.status, added.body]).toMatchObject([201, { plan: { starts: ['near'] } }]);
    await until(async () => (await call(gateway, 'near', true)) === '/near');
    // Connections spread over the workers: each of them knows it by now.
    const replies = await Promise.all(Array.from({ length: 24 }, () => call(gateway, 'near', true)));
    expect(new Set(replies)).toEqual(new Set(['/near']));

    await gateway.kill();
    const again = await start({ folder, settings: { workers: 2 } });
    expect(await call(again, 'near')).toBe('/near');
    const changed = await again.api('PUT', '/api/v1/servers/near', settingsOf('other'));
    expect([changed.status, changed.body]).toMatchObject([
      200,
      { plan: { changes: [{ server: 'near', keys: ['url'] }] } },
    ]);
    await until(async () => (await call(again, 'near', true)) === '/other');
    expect((await again.api('DELETE', '/api/v1/servers/near')).status).toBe(200);
    await until(async () => (await call(again, 'near', true)) === '404');
    expect(await again.stop()).toBe(0);
  }, 60_000);

  test('without a file serves what the registry holds', async () => {
    const folder = folderOf();
    const first = await start({ folder });
    await first.api('POST', '/api/v1/servers', { name: 'near', settings: settingsOf('near') });
    await first.stop();
    const home = join(folder, 'state');
    const moved = join(home, 'sluice');
    expect(Bun.spawnSync(['mkdir', '-p', home]).exitCode).toBe(0);
    expect(Bun.spawnSync(['mv', join(folder, 'data'), moved]).exitCode).toBe(0);
    const program = [process.execPath, join(import.meta.dir, '..', '..', 'src', 'main.ts')];
    const child = Bun.spawn([...program, 'serve', '--port', '0'], {
      ...{ cwd: home, stdin: 'ignore', stdout: 'ignore', stderr: 'pipe' },
      env: { ...process.env, XDG_STATE_HOME: home, XDG_CONFIG_HOME: home },
    });
    try {
      const text = await readUntil(child.stderr, '"msg":"ready"');
      expect(text).toContain('no configuration file: the servers of the registry');
      expect(text).toContain('/mcp/near');
    } finally {
      child.kill('SIGKILL');
      await child.exited;
    }
  }, 60_000);
});

describe('while the gateway serves', () => {
  test('registrations take effect within moments, and no call elsewhere is dropped', async () => {
    const gateway = await start({
      folder: folderOf(),
      settings: { workers: 2 },
      servers: { steady: settingsOf('steady') },
    });
    const others = { calls: 0, lost: [] as string[], isOver: false };
    const load = Array.from({ length: 4 }, async () => {
      while (!others.isOver) {
        const answer = await call(gateway, 'steady').catch((thrown) => String(thrown));
        others.calls++;
        if (answer !== '/steady') others.lost.push(answer);
      }
    });
    const times: number[] = [];
    for (let i = 0; i < 20; i++) {
      const name = `s${i}`;
      const added = await gateway.api('POST', '/api/v1/servers', { name, settings: settingsOf(name) });
      expect(added.status).toBe(201);
      const from = performance.now();
      await until(async () => (await call(gateway, name, true)) === `/${name}`);
      times.push(performance.now() - from);
    }
    others.isOver = true;
    await Promise.all(load);
    times.sort((a, b) => a - b);
    console.log(
      `registry: first successful call after a registration: p50 ${times[10]?.toFixed(1)} ms, longest of 20 ${times.at(-1)?.toFixed(1)} ms, beside ${others.calls} other calls`,
    );
    expect(others.calls).toBeGreaterThan(0);
    expect(others.lost).toEqual([]);
    await gateway.stop();
  }, 60_000);

  test("the file's entry wins, and a registry that is damaged says so and harms nobody", async () => {
    const folder = folderOf();
    const first = await start({ folder });
    await first.api('POST', '/api/v1/servers', { name: 'near', settings: settingsOf('registry') });
    await first.stop();
    const second = await start({ folder, servers: { near: settingsOf('file') } });
    expect(await call(second, 'near')).toBe('/file');
    expect((await listed(second)).map(({ origin, isShadowed }) => [origin, isShadowed])).toEqual([
      ['file', false],
      ['registry', true],
    ]);
    expect((await second.api('PUT', '/api/v1/servers/near', settingsOf('x'))).status).toBe(409);
    await second.stop();

    const path = registryPath(join(folder, 'data'));
    writeFileSync(path, 'garbage');
    const third = await start({ folder });
    expect(await call(third, 'near')).toBe('/registry');
    const status = (await third.api('GET', '/api/v1/status')).body as { registry: unknown };
    expect(status.registry).toMatchObject({ state: 'damaged', path });
    expect(
      (await third.api('POST', '/api/v1/servers', { name: 'b', settings: settingsOf('b') })).status,
    ).toBe(503);
    await third.stop();
    expect(readFileSync(path, 'utf8')).toBe('garbage');
  }, 60_000);
});

test('killed at random moments under registrations, it loses nothing that it acknowledged', async () => {
  const seed = Number(process.env.SLUICE_SEED ?? Date.now() % 1_000_000);
  console.log(
    `registry: crash, seed ${seed} (SLUICE_SEED=${seed} plays it again; npm run crash is the long one)`,
  );
  const report = await crash({ folder: folderOf(), kills: 5, seed, callers: 4, lifeMs: 200 });
  expect(report.kills).toBe(5);
}, 120_000);

/** Asks again and again, for twenty seconds at most. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await isSo())) if (performance.now() > end) throw new Error('it did not come to pass');
}

/** Text of a stream up to some words. */
async function readUntil(stream: ReadableStream<Uint8Array>, words: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of stream) {
    text += decoder.decode(bytes, { stream: true });
    if (text.includes(words)) return text;
  }
  throw new Error(`it ended before '${words}': ${text}`);
}
