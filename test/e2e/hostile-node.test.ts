// The hostile inputs against the gateway on Node: over uWebSockets.js, whose differences stand in the table with their reasons, and over our own HTTP/1.1, which has none.
// Run by `bun test`, whatever SLUICE_RUNTIME says. Promises: each row is refused before anything reaches the server; without a Node the tests are skipped with a word.
// Where uWebSockets.js cannot load, our own serves in its place and has no difference.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type Served, startGateway } from '../fixtures/harness.ts';
import { CALL, HOSTILE, ON_NODE } from '../fixtures/hostile.ts';
import { modernHeaders } from '../fixtures/messages.ts';
import { buildForNode, NODE, nodeCanLoad } from '../fixtures/node-build.ts';
import { echoId, rawExchange, startByteServer } from '../fixtures/plane.ts';

const START_MS_MAX = 60_000;

if (NODE === null) console.warn('hostile inputs on Node are skipped: there is no node in the PATH');

function statusOf(reply: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(reply)?.[1] ?? 0);
}

test('each difference is one of a row of the table, and no row has two', () => {
  const names = HOSTILE.map((row) => row.what);
  const different = ON_NODE.flatMap(({ rows }) => rows);
  expect(different.filter((what) => !names.includes(what))).toEqual([]);
  expect(new Set(different).size).toBe(different.length);
});

// As printed above: there is no node.
describe.skipIf(NODE === null).each(['uwebsockets', 'sockets'] as const)(
  'hostile inputs on Node: %s',
  (transport) => {
    const server = startByteServer(echoId);
    const isUwsJs = transport === 'uwebsockets' && nodeCanLoad('uWebSockets.js');
    let gateway: Served;
    let port = 0;

    beforeAll(async () => {
      await buildForNode();
      const servers = { one: { url: server.url } };
      gateway = await startGateway(servers, { listen: { port: 0, transport } }, { SLUICE_RUNTIME: 'node' });
      port = Number(new URL(gateway.url).port);
    }, START_MS_MAX);
    afterAll(async () => {
      await gateway.stop();
      server.stop();
    });

    for (const row of HOSTILE) {
      const difference = isUwsJs ? ON_NODE.find(({ rows }) => rows.includes(row.what)) : undefined;
      test(row.what, async () => {
        const before = server.bodies.length;
        const reply = await rawExchange(port, row.send, row.quietMs ?? 300);
        const status = statusOf(reply);
        expect(difference?.status ?? row.status, `${status}: ${reply.slice(0, 400)}`).toContain(status);
        const code = /"error":\{"code":(-?\d+)/.exec(reply)?.[1];
        if (row.rpc !== undefined && status !== 0 && difference === undefined && row.status[0] !== 431)
          expect(code === undefined ? null : Number(code), reply).toBe(row.rpc);
        expect(reply).not.toContain('"id":null');
        if (status >= 400 || difference !== undefined)
          expect(server.bodies.length, 'a refused request must not reach the server').toBe(before);
      });
    }

    test('what is refused for its framing leaves nothing of the connection to use', async () => {
      const before = server.bodies.length;
      const chunked = `POST /mcp/one HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
      const hidden = `POST /mcp/one HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${CALL.length}\r\n\r\n${CALL}`;
      for (const size of ['g', '1 ', `${(5).toString(16)}x`]) {
        const reply = await rawExchange(port, [`${chunked}${size}\r\n{}\r\n0\r\n\r\n${hidden}`]);
        expect([411, 400, 505, 0]).toContain(statusOf(reply));
        expect(reply.match(/HTTP\/1\.1 200/g)).toBeNull();
      }
      expect(server.bodies.length).toBe(before);
    });

    test('a request after each kind of abuse is still served', async () => {
      const reply = await fetch(`${gateway.url}/mcp/one`, {
        method: 'POST',
        headers: modernHeaders('tools/call', 'echo'),
        body: CALL,
      });
      expect(reply.status).toBe(200);
    });
  },
);
