// The matrix of compatibility: every client with every kind of server through the gateway, feature by feature.
// Called by `npm run compatibility`; flags: --client NAME,…  --server NAME,… (then docs/compatibility.md is left alone). Promises: writes
// docs/compatibility.md after a whole run; exit code 1 when a cell is broken.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT, stopAll } from '../test/fixtures/harness.ts';
import { type ClientCells, compatibilityPage } from './compatibility/document.ts';
import { FEATURES } from './compatibility/features.ts';
import { type Cell, CLIENTS, openStage, SERVERS, tryPair } from './compatibility/matrix.ts';

const { values } = parseArgs({ options: { client: { type: 'string' }, server: { type: 'string' } } });

function chosen<T extends { readonly name: string }>(
  all: readonly T[],
  flag: string | undefined,
): readonly T[] {
  if (flag === undefined) return all;
  const names = flag.split(',');
  const unknown = names.find((name) => !all.some((one) => one.name === name));
  if (unknown === undefined) return all.filter((one) => names.includes(one.name));
  console.error(`compatibility: unknown "${unknown}": choose from ${all.map((one) => one.name).join(', ')}`);
  process.exit(2);
}

async function main(): Promise<number> {
  const clients = chosen(CLIENTS, values.client);
  const servers = chosen(SERVERS, values.server);
  const startedMs = performance.now();
  const stage = await openStage(servers);
  const rows: ClientCells[] = [];
  let broken = 0;
  for (const client of clients) {
    const cells = new Map<string, readonly Cell[]>();
    for (const server of servers) {
      const tried = await tryPair(stage, client, server);
      cells.set(server.name, tried);
      const count = (kind: Cell['kind']): number => tried.filter((cell) => cell.kind === kind).length;
      broken += count('broken');
      console.log(
        `compatibility: ${client.name} at ${server.name}: ${count('ok')} ok, ${count('limit')} not possible, ${count('broken')} broken`,
      );
      for (const [at, cell] of tried.entries())
        if (cell.kind === 'broken')
          console.error(
            `compatibility: ${client.name} at ${server.name}: ${FEATURES[at]?.name}: ${cell.why}`,
          );
    }
    rows.push({ client, cells });
  }
  const ends = await stage.stop();
  for (const end of ends) console.error(`compatibility: ${end}`);
  await stopAll();
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
  console.log(
    `compatibility: ${clients.length} clients, ${servers.length} servers, ${broken} broken cells in ${seconds} s`,
  );
  if (broken > 0 || ends.length > 0) return 1;
  if (values.client === undefined && values.server === undefined)
    writeFileSync(join(ROOT, 'docs', 'compatibility.md'), compatibilityPage(rows));
  return 0;
}

process.exit(await main());
