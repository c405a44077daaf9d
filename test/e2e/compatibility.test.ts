// The matrix of compatibility at a smaller size: one client of each era at servers of each era, every feature; and the page that a whole run made.
// Called by `bun test`. Promises: a cell that is broken fails with its reason; the page has a cell for every client, server and feature.
import { afterAll, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compatibilityPage } from '../../scripts/compatibility/document.ts';
import { FEATURES } from '../../scripts/compatibility/features.ts';
import { type Cell, CLIENTS, openStage, SERVERS, tryPair } from '../../scripts/compatibility/matrix.ts';
import { ROOT, stopAll } from '../fixtures/harness.ts';

const TEST_MS_MAX = 60_000;
const PAGE = join(ROOT, 'docs', 'compatibility.md');

afterAll(stopAll);

for (const [clientName, ...serverNames] of [
  ['sdk-v1', 'legacy-http', 'modern-http', 'modern-stdio'],
  ['sdk-v2-modern', 'modern-http', 'legacy-http', 'legacy-stdio'],
]) {
  test(
    `${clientName} at ${serverNames.join(', ')}: every feature`,
    async () => {
      const client = CLIENTS.find((one) => one.name === clientName);
      const servers = SERVERS.filter((one) => serverNames.includes(one.name));
      expect(servers).toHaveLength(serverNames.length);
      if (client === undefined) throw new Error(`no client is called ${clientName}`);
      const stage = await openStage(servers);
      for (const server of servers) {
        const cells = await tryPair(stage, client, server);
        const broken = cells.flatMap((cell, at) =>
          cell.kind === 'broken' ? [`${server.name}: ${FEATURES[at]?.name}: ${cell.why}`] : [],
        );
        expect(broken).toEqual([]);
      }
      expect(await stage.stop()).toEqual([]);
    },
    TEST_MS_MAX,
  );
}

test('docs/compatibility.md: a table for every client, a cell for every feature and server, a note for each that is not ok', () => {
  const page = readFileSync(PAGE, 'utf8');
  const notes = page.split('\n').filter((line) => /^\d+\. .{20,}\.$/.test(line)).length;
  const pointed = new Set<number>();
  for (const client of CLIENTS) {
    const table = page.split(`## ${client.title}\n`)[1]?.split('\n## ')[0] ?? '';
    for (const { title, name } of FEATURES) {
      const row = table.split('\n').find((line) => line.startsWith(`| ${title} |`)) ?? '';
      const cells = row
        .split('|')
        .slice(2, -1)
        .map((cell) => cell.trim());
      expect(cells).toHaveLength(SERVERS.length);
      for (const cell of cells) {
        expect(cell).toMatch(/^(ok|note \d+)$/);
        if (cell !== 'ok') pointed.add(Number(cell.slice('note '.length)));
        expect(cell === 'ok').toBe(client.limits[name] === undefined);
      }
    }
  }
  expect(pointed.size).toBe(notes);
});

test('a page tells each reason once, and never leaves a cell blank', () => {
  const [client] = CLIENTS;
  if (client === undefined) throw new Error('there is no client');
  const cells = new Map<string, readonly Cell[]>([
    ['legacy-http', FEATURES.map(() => ({ kind: 'ok' }) as const)],
    ['modern-http', FEATURES.map(() => ({ kind: 'limit', why: 'it has no user to ask' }) as const)],
    ['modern-stdio', []],
  ]);
  const page = compatibilityPage([{ client, cells }]);
  expect(page.match(/\| tools with progress \|.*/)?.[0]).toBe(
    '| tools with progress | ok | note 1 | note 2 |',
  );
  expect(page).toContain('1. It has no user to ask.\n2. Not tried.\n');
});
