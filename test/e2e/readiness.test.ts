// When /readyz says that the gateway is ready: not before its required servers have answered, not while one of them is left alone, and not while it ends.
// Run by `bun test`: the real program over real processes. Promises: waits for states, never for an amount of time; ends every process that it starts.
import { afterAll, describe, expect, test } from 'bun:test';
import { startGateway as startThreads } from '../../src/gateway.ts';
import { SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { fixtureCommand, type Served, startFixture, startGateway, stopAll } from '../fixtures/harness.ts';
import { MODERN_META, modernHeaders, modernRequest } from '../fixtures/messages.ts';
import { eventually } from '../fixtures/places.ts';
import { snapshotOf } from '../fixtures/plane.ts';

const TEST_MS_MAX = 60_000;

afterAll(() => stopAll());

/** What /readyz says. */
async function ready(url: string) {
  const response = await fetch(`${url}/readyz`);
  const body = (await response.json()) as {
    status: string;
    checks: { check: string; ok: boolean; detail: string }[];
  };
  return {
    status: response.status,
    says: body.status,
    checks: new Map(body.checks.map((one) => [one.check, one])),
  };
}

const statusOf = async (url: string): Promise<number> => (await ready(url)).status;

function list(url: string): Promise<Response> {
  const body = modernRequest(1, 'tools/list');
  return fetch(url, { method: 'POST', headers: modernHeaders('tools/list'), body });
}

/** A port that nothing listens on now. */
async function freePort(): Promise<number> {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

const BREAKER = { failures: 3, windowMs: 10_000, openMs: 200 };

describe('/readyz', () => {
  test(
    'waits for a required server, whatever its era, and nothing waits for /readyz',
    async () => {
      for (const eras of ['modern', 'legacy'] as const) {
        const port = await freePort();
        const settings = { required: true, breaker: BREAKER };
        const gateway: Served = await startGateway({
          vital: { url: `http://127.0.0.1:${port}/mcp`, ...settings },
          near: fixtureCommand(),
        });
        expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200);
        const before = await ready(gateway.url);
        expect([before.status, before.says]).toEqual([503, 'unready']);
        expect(before.checks.get('listener')?.ok).toBe(true);
        expect(before.checks.get('server vital')?.detail).toStartWith('it has not answered yet');
        expect(before.checks.has('server near')).toBe(false);
        await eventually('it says why', async () =>
          /GW_UPSTREAM_(CONNECT|OPEN)/.test(
            (await ready(gateway.url)).checks.get('server vital')?.detail ?? '',
          ),
        );
        expect((await list(`${gateway.url}/mcp/near`)).status).toBe(200);

        const vital = await startFixture(eras, { port });
        await eventually('it is ready', async () => (await statusOf(gateway.url)) === 200);
        expect((await ready(gateway.url)).checks.get('server vital')).toEqual({
          ...{ check: 'server vital', ok: true, detail: '' },
        });

        await vital.stop();
        await eventually('calls that fail open its breaker', async () => {
          await list(`${gateway.url}/mcp/vital`);
          return (await statusOf(gateway.url)) === 503;
        });
        expect((await ready(gateway.url)).checks.get('server vital')?.detail).toStartWith(
          'its breaker is open',
        );
        // Nobody else asks it now.
        await startFixture(eras, { port });
        await eventually('it is ready again', async () => (await statusOf(gateway.url)) === 200);
        await gateway.stop();
      }
    },
    TEST_MS_MAX,
  );

  test(
    'is false from the first moment of the end on, while what runs may finish',
    async () => {
      const gateway = await startGateway(
        { near: { ...fixtureCommand(), required: true } },
        { limits: { drainMs: 20_000 } },
      );
      await eventually('it is ready', async () => (await statusOf(gateway.url)) === 200);
      const params = {
        name: 'slow',
        arguments: { ms: 1_500, steps: 3 },
        _meta: { ...MODERN_META, progressToken: 1 },
      };
      const running = await fetch(`${gateway.url}/mcp/near`, {
        method: 'POST',
        headers: modernHeaders('tools/call', 'slow'),
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
      });
      // It has begun: its first report of progress is here.
      const stopped = gateway.stop();
      await eventually('it says so', async () => (await ready(gateway.url)).says === 'draining');
      expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200);
      expect(await running.text()).toContain('"result"');
      expect(await stopped).toBe(0);
    },
    TEST_MS_MAX,
  );

  test(
    'is what an operator is told, over several workers and reloads; what servers say themselves, only he is',
    async () => {
      const quits = { command: '/bin/sh', args: ['-c', 'echo no licence found >&2; exit 3'] };
      const snapshot = snapshotOf({ servers: { quits } });
      const [spec] = snapshot.servers;
      if (spec === undefined) throw new Error('no server');
      const required = { ...snapshot, servers: [{ ...spec, required: true as const }] };
      const gateway = await startThreads({
        runtime: createBunRuntime(),
        snapshot: required,
        ...{ log: SILENT, scan: 'auto', logLevel: 'silent', workers: 2 },
      });
      const told = async () => new Map((await gateway.readiness()).map((one) => [one.check, one]));
      await eventually('it says why', async () =>
        /\(GW_UPSTREAM_\w+: /.test((await told()).get('server quits')?.detail ?? ''),
      );
      const checks = await told();
      expect([...checks.values()].map(({ check, ok }) => `${check} ${ok}`)).toEqual([
        ...['listener true', 'snapshot true', 'workers true', 'server quits false', 'draining true'],
      ]);
      expect([await statusOf(gateway.url), checks.get('workers')?.detail]).toEqual([503, '2 of 2 serve']);
      const text =
        JSON.stringify([...checks.values()]) + (await (await fetch(`${gateway.url}/readyz`)).text());
      expect(text).not.toContain('licence');
      expect(JSON.stringify((await gateway.inspect()).servers)).toContain('no licence found');

      const near = snapshotOf({ servers: { near: fixtureCommand() }, spec: { required: true } });
      await gateway.reload({ ...near, epoch: 2 });
      await eventually(
        'the one that counts now has answered',
        async () => (await statusOf(gateway.url)) === 200,
      );
      expect([...(await told()).keys()]).toContain('server near');
      const drained = gateway.drain();
      expect((await told()).get('draining')).toMatchObject({ ok: false });
      await drained;
      expect((await told()).get('listener')).toMatchObject({ ok: false });
    },
    TEST_MS_MAX,
  );
});
