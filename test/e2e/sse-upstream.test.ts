// An HTTP+SSE server of the official SDK behind the gateway, which is started anew under its clients' sessions.
// Called by `bun test`. Promises: in this process, on free ports; what clients do with such a server while it is well is in clients-legacy-sdk.test.ts.
import { afterEach, describe, expect, test } from 'bun:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import type { HttpFixture } from '../fixtures/everything/http.ts';
import { serveSse } from '../fixtures/everything/sse.ts';
import { World } from '../fixtures/everything/world.ts';
import { eventually } from '../fixtures/places.ts';
import { startPlane } from '../fixtures/plane.ts';

const TEST_MS_MAX = 20_000;
const CLIENTS = 8;

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** The server, which can be ended and started again on its port with all that it knew forgotten. */
class Old {
  world = new World();
  port = 0;
  #fixture: HttpFixture | null = null;

  async start(): Promise<void> {
    this.world = new World();
    this.#fixture = await serveSse(this.world, this.port);
    this.port = this.#fixture.port;
  }

  async stop(): Promise<void> {
    const fixture = this.#fixture;
    this.#fixture = null;
    await fixture?.stop();
  }
}

interface Visitor {
  readonly client: Client;
  readonly heard: string[];
  call(tool: string, args?: Record<string, unknown>): Promise<string>;
}

async function visit(url: string, prefix = ''): Promise<Visitor> {
  const client = new Client({ name: 'e2e', version: '1' }, { capabilities: {} });
  const heard: string[] = [];
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => void heard.push('tools'));
  const transport = new StreamableHTTPClientTransport(new URL(url));
  // the SDK's own two declarations of a transport differ in how they spell "absent"
  await client.connect(transport as Parameters<Client['connect']>[0]);
  stops.push(() => client.close());
  return {
    client,
    heard,
    call: async (tool, args = {}) => {
      const result = await client.callTool({ name: prefix + tool, arguments: args });
      return (result.content as { text?: string }[])[0]?.text ?? '';
    },
  };
}

async function worldOf(transport: 'auto' | 'sse'): Promise<{ readonly old: Old; readonly url: string }> {
  const old = new Old();
  await old.start();
  stops.push(() => old.stop());
  const plane = startPlane({ servers: { old: { url: `http://127.0.0.1:${old.port}/sse`, transport } } });
  stops.push(() => plane.stop());
  return { old, url: `${plane.url}/mcp/old` };
}

for (const transport of ['auto', 'sse'] as const) {
  describe(`transport: ${transport}`, () => {
    test(
      'a session goes on with a server that was started anew, and hears of changes again',
      async () => {
        const { old, url } = await worldOf(transport);
        const visitor = await visit(url);
        expect(await visitor.call('echo', { n: 1 })).toBe('{"n":1}');
        await visitor.call('test_trigger_tool_change');
        await eventually('the change is told', () => visitor.heard.length === 1);
        await old.stop();
        await old.start();
        // Nobody has asked for anything: the session is opened again because its client listens.
        await eventually('the session is open at the new server', () => old.world.sessionsOpen === 1);
        expect(await visitor.call('echo', { n: 2 })).toBe('{"n":2}');
        await visitor.call('test_trigger_tool_change');
        await eventually('a later change is told', () => visitor.heard.length === 2);
        expect(old.world.sessionsOpen).toBe(1);
      },
      TEST_MS_MAX,
    );

    test(
      'busy sessions survive a restart, and nothing is executed twice',
      async () => {
        const { old, url } = await worldOf(transport);
        const visitors = await Promise.all(Array.from({ length: CLIENTS }, () => visit(url)));
        const worlds = [old.world];
        let isOver = false;
        const counts = { answered: 0, failed: 0 };
        const busy = visitors.map(async (visitor, who) => {
          for (let n = 0; !isOver; n++) {
            const outcome = await visitor.call('count', { key: `${who} ${n}` }).catch(() => null);
            if (outcome === null) counts.failed++;
            else {
              counts.answered++;
              expect(outcome).toBe('1');
            }
          }
        });
        await eventually('they are at work', () => counts.answered > 20 * CLIENTS);
        const startedAt = performance.now();
        await old.stop();
        await old.start();
        worlds.push(old.world);
        const before = counts.answered;
        await eventually('they are at work again', () => counts.answered > before + CLIENTS);
        const ms = performance.now() - startedAt;
        console.log(
          `${CLIENTS} busy sessions over HTTP+SSE (${transport}): back within ${ms.toFixed(0)} ms, ${counts.failed} calls failed`,
        );
        await eventually('they are at work for long', () => counts.answered > before + 20 * CLIENTS);
        isOver = true;
        await Promise.all(busy);
        for (const world of worlds)
          for (const [key, count] of world.counts) expect([key, count]).toEqual([key, 1]);
        const [first, second] = worlds.map((world) => new Set(world.counts.keys()));
        for (const key of first ?? []) expect([key, second?.has(key)]).toEqual([key, false]);
        expect(old.world.sessionsOpen).toBe(CLIENTS);
        for (const visitor of visitors) expect(await visitor.call('echo', { n: 3 })).toBe('{"n":3}');
      },
      TEST_MS_MAX,
    );
  });
}
