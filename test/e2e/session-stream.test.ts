// The event stream of a legacy session: a client that comes back at once, or, where the gateway keeps the session, never said that it had left.
// Run by bun test against bin/sluice with two workers. Promises: waits for events, never for an amount of time; every process has ended when the tests have.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { fixtureCommand, type Served, startFixture, startGateway, stopAll } from '../fixtures/harness.ts';
import type { Rpc } from '../fixtures/legacy-server.ts';
import { eventually } from '../fixtures/places.ts';
import { RpcClient, readEvents } from '../fixtures/rpc-client.ts';

const TEST_MS_MAX = 30_000;
const RETURNS = 40;
const WATCHED = 'test://watched-resource';

/** Whose session it is, and how the server's names are spelt there. `keeps`: a stream that is open stays the one, since the server says so. */
const PLACES = [
  { label: 'a stdio server', path: '/mcp/near', tool: 'touch', uri: WATCHED },
  { label: 'a server of the modern era', path: '/mcp/new', tool: 'touch', uri: WATCHED },
  { label: 'an aggregate', path: '/mcp', tool: 'old__touch', uri: `old+${WATCHED}` },
  { label: 'a legacy server behind HTTP', path: '/mcp/old', tool: 'touch', uri: WATCHED, keeps: true },
];

let gateway: Served;
beforeAll(async () => {
  const [old, modern] = await Promise.all([startFixture('legacy'), startFixture('modern')]);
  gateway = await startGateway(
    { near: fixtureCommand('legacy'), new: { url: modern.url }, old: { url: old.url } },
    { workers: 2 },
  );
}, TEST_MS_MAX);
afterAll(stopAll, TEST_MS_MAX);

/** One GET of a client. */
class Listening {
  readonly heard: Rpc[] = [];
  readonly abort = new AbortController();
  status = 0;
  /** How it ended. */
  end: 'open' | 'whole' | 'broken' = 'open';

  async open(client: RpcClient): Promise<this> {
    const headers = { accept: 'text/event-stream', 'mcp-session-id': client.session ?? '' };
    const response = await fetch(client.url, { headers, signal: this.abort.signal });
    this.status = response.status;
    readEvents(response, (message) => this.heard.push(message)).then(
      () => {
        this.end = 'whole';
      },
      () => {
        this.end = 'broken';
      },
    );
    return this;
  }

  get updates(): number {
    return this.heard.filter(({ method }) => method === 'notifications/resources/updated').length;
  }
}

for (const { label, path, tool, uri, keeps = false } of PLACES) {
  describe(`the stream of a session at ${label}`, () => {
    /** Lets the server speak until the client hears it; how often it spoke. */
    const speak = async (client: RpcClient, to: Listening): Promise<number> => {
      let spoken = 0;
      await eventually('the client hears of a change', async () => {
        if (to.updates > 0) return true;
        spoken++;
        const reply = await client.request('tools/call', { name: tool, arguments: {} });
        expect(reply.error).toBeUndefined();
        return false;
      });
      return spoken;
    };

    const visit = (name: string, use: (client: RpcClient, first: Listening) => Promise<void>): void => {
      test(
        name,
        async () => {
          const client = new RpcClient(`${gateway.url}${path}`);
          await client.initialize();
          const first = await new Listening().open(client);
          expect(first.status).toBe(200);
          expect((await client.request('resources/subscribe', { uri })).error).toBeUndefined();
          await use(client, first);
          await client.end();
          client.close();
        },
        TEST_MS_MAX,
      );
    };

    visit(
      'regression: is there for a client that leaves and is back at once, many times',
      async (client, first) => {
        let last = first;
        for (let n = 0; n < RETURNS; n++) {
          last.abort.abort();
          last = await new Listening().open(client);
          expect([n, last.status]).toEqual([n, 200]);
        }
        const spoken = await speak(client, last);
        expect(last.updates).toBeLessThanOrEqual(spoken);
        expect(last.end).toBe('open');
      },
    );

    if (keeps) return;

    visit('regression: passes to a newer GET; the older one ends whole', async (client, first) => {
      const all = [first];
      for (let n = 0; n < RETURNS; n++) all.push(await new Listening().open(client));
      expect(all.filter(({ status }) => status !== 200)).toEqual([]);
      const last = all.at(-1) ?? first;
      const older = all.slice(0, -1);
      await eventually('the older ones end', () => older.every(({ end }) => end !== 'open'));
      expect(new Set(older.map(({ end }) => end))).toEqual(new Set(['whole']));
      const spoken = await speak(client, last);
      expect(last.updates).toBeLessThanOrEqual(spoken);
      expect(older.filter(({ updates }) => updates > 0)).toEqual([]);
      await client.end();
      await eventually('the last ends with the session', () => last.end !== 'open');
      expect(last.end).toBe('whole');
    });
  });
}
