// Hostile inputs over a raw socket: each gets the reply of the table, the gateway stays up, and nothing leaks.
// Run by `bun test`. The upstream answers everything, so whatever reaches it wrongly shows.
import { afterAll, describe, expect, test } from 'bun:test';
import { CALL, HOSTILE, post } from '../fixtures/hostile.ts';
import { modernHeaders } from '../fixtures/messages.ts';
import { echoId, rawExchange, startByteServer, startPlane } from '../fixtures/plane.ts';

function statusOf(reply: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(reply)?.[1] ?? 0);
}

function errorOf(reply: string): { code: number | null; id: string | null; text: string } {
  const body = reply.slice(reply.indexOf('\r\n\r\n') + 4);
  const code = /"error":\{"code":(-?\d+)/.exec(body)?.[1];
  const id = /^\{"jsonrpc":"2\.0","id":([^,]+),"error"/.exec(body)?.[1];
  return { code: code === undefined ? null : Number(code), id: id ?? null, text: body };
}

test('the table is long enough', () => expect(HOSTILE.length).toBeGreaterThanOrEqual(60));

describe.each(['uwebsockets', 'sockets'] as const)('hostile inputs: %s', (transport) => {
  const server = startByteServer(echoId);
  const plane = startPlane({ servers: { one: { url: server.url } }, transport });

  afterAll(async () => {
    await plane.stop();
    server.stop();
  });

  for (const row of HOSTILE) {
    test(row.what, async () => {
      const before = server.bodies.length;
      const reply = await rawExchange(plane.port, row.send, row.quietMs ?? 300);
      const status = statusOf(reply);
      expect(row.status, `${status}: ${reply.slice(0, 400)}`).toContain(status);
      const error = errorOf(reply);
      if (row.rpc !== undefined && status !== 0) expect(error.code, error.text).toBe(row.rpc);
      if (row.id !== undefined) expect(error.id).toBe(row.id);
      expect(reply).not.toContain('"id":null');
      if (status >= 400)
        expect(server.bodies.length, 'a refused request must not reach the server').toBe(before);
    });
  }

  test('a request after each kind of abuse is still served, and nothing is left busy', async () => {
    const reply = await fetch(`${plane.url}/mcp/one`, {
      method: 'POST',
      headers: modernHeaders('tools/call', 'echo'),
      body: CALL,
    });
    expect(reply.status).toBe(200);
    await Bun.sleep(50);
    const stats = plane.plane.stats();
    expect(stats.activeExchanges).toBe(0);
    expect(stats.upstreams.one).toMatchObject({ busy: 0, waiting: 0 });
  });

  test("pipelined requests never get another request's answer", async () => {
    const one = (id: number): string =>
      post(CALL.replace('"id":7', `"id":${id}`), {
        Host: '127.0.0.1',
        ...modernHeaders('tools/call', 'echo'),
      });
    const reply = await rawExchange(plane.port, [one(1) + one(2) + one(3)]);
    const ids = [...reply.matchAll(/"id":(\d)/g)].map((match) => Number(match[1]));
    // uWebSockets closes a connection on which a second request comes before the first is answered; what it answers is in order.
    expect(ids).toEqual([1, 2, 3].slice(0, transport === 'sockets' ? 3 : ids.length));
  });
});
