// The gateway on Node where the package uWebSockets.js is not: a copy of what Node runs, in a folder from which no package is found.
// Run by `bun test`, whatever SLUICE_RUNTIME says. Promises: without a Node the test is skipped with a word.
import { afterAll, expect, test } from 'bun:test';
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT, startGateway } from '../fixtures/harness.ts';
import { CALL } from '../fixtures/hostile.ts';
import { buildForNode, NODE } from '../fixtures/node-build.ts';
import { echoId, rawExchange, startByteServer } from '../fixtures/plane.ts';

const START_MS_MAX = 60_000;
const ADDON = join('build', 'Release', 'sluice.node');
const server = startByteServer(echoId);
const folder = mkdtempSync(join(tmpdir(), 'sluice-bare-'));

afterAll(() => {
  server.stop();
  rmSync(folder, { recursive: true, force: true });
});

if (NODE === null)
  console.warn('the gateway without packages on Node is skipped: there is no node in the PATH');

// As printed above: there is no node.
test.skipIf(NODE === null)(
  'without uWebSockets.js the own HTTP/1.1 serves, says so in one line, and takes bodies in chunks',
  async () => {
    await buildForNode();
    for (const part of ['bin', join('dist', 'node')])
      cpSync(join(ROOT, part), join(folder, part), { recursive: true });
    if (existsSync(join(ROOT, ADDON))) cpSync(join(ROOT, ADDON), join(folder, ADDON));
    const gateway = await startGateway(
      { one: { url: server.url } },
      { listen: { port: 0 }, workers: 1 },
      { SLUICE_RUNTIME: 'node', SLUICE_BUN: process.execPath },
      folder,
    );
    try {
      const lines = gateway.stderr().split('\n');
      expect(lines.filter((line) => line.includes('uWebSockets.js'))).toEqual([
        expect.stringContaining(
          "the gateway's own HTTP/1.1 serves instead of uWebSockets.js: the package uWebSockets.js is not installed",
        ),
      ]);
      const chunks = `${CALL.length.toString(16)}\r\n${CALL}\r\n0\r\n\r\n`;
      const head =
        'POST /mcp/one HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n';
      const reply = await rawExchange(Number(new URL(gateway.url).port), [`${head}${chunks}`]);
      expect(reply).toStartWith('HTTP/1.1 200');
      expect(server.bodies).toHaveLength(1);
    } finally {
      await gateway.stop();
    }
  },
  START_MS_MAX,
);
