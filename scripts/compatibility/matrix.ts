// Every client with every kind of server, through one gateway: one cell a feature.
// Called by scripts/compatibility.ts and test/e2e/compatibility.test.ts. Promises: a cell is ok, or says why it cannot be, or what went wrong; a client
// that cannot even connect has all its cells broken.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type FixtureEras,
  fixtureCommand,
  type Served,
  type ServerEntry,
  startFixture,
  startGateway,
} from '../../test/fixtures/harness.ts';
import type { ClientKind, Driver } from './driver.ts';
import { FEATURES, type Feature, PAGE, type Scene } from './features.ts';
import { INSPECTOR } from './inspector.ts';
import { NEW_SDK } from './sdk-new.ts';
import { MCP_REMOTE, OLD_SDK } from './sdk-old.ts';

/** All clients, in the order of their tables. */
export const CLIENTS: readonly ClientKind[] = [OLD_SDK, ...NEW_SDK, INSPECTOR, MCP_REMOTE];

/** A kind of server: one era over one transport. */
export interface ServerKind {
  readonly name: string;
  readonly title: string;
  readonly era: FixtureEras;
  readonly transport: 'http' | 'sse' | 'stdio';
}

/** All servers, in the order of the columns. */
export const SERVERS: readonly ServerKind[] = [
  { name: 'legacy-http', title: 'legacy HTTP', era: 'legacy', transport: 'http' },
  { name: 'legacy-sse', title: 'legacy SSE', era: 'legacy', transport: 'sse' },
  { name: 'legacy-stdio', title: 'legacy stdio', era: 'legacy', transport: 'stdio' },
  { name: 'modern-http', title: 'modern HTTP', era: 'modern', transport: 'http' },
  { name: 'modern-stdio', title: 'modern stdio', era: 'modern', transport: 'stdio' },
];

/** What became of one feature of one client at one server. */
export type Cell =
  | { readonly kind: 'ok' }
  | { readonly kind: 'limit'; readonly why: string }
  | { readonly kind: 'broken'; readonly why: string };

/** The gateway with its servers behind it. */
export interface Stage {
  readonly gateway: Served;
  readonly journal: string;
  /** Stops what was started, the gateway first; resolves with the exit codes that are not 0, told in words. */
  stop(): Promise<string[]>;
}

const CONNECT_MS_MAX = 15_000;
const CHECK_MS_MAX = 15_000;

/** Starts the given servers and one gateway in front of them; the servers bear the names of their kinds. */
export async function openStage(kinds: readonly ServerKind[]): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-compatibility-'));
  const journal = join(folder, 'journal');
  const fixtures: Served[] = [];
  const servers: Record<string, ServerEntry> = {};
  for (const { name, era, transport } of kinds) {
    const options = { journal, page: PAGE, transport };
    if (transport === 'stdio') {
      servers[name] = fixtureCommand(era, options);
      continue;
    }
    const fixture = await startFixture(era, options);
    fixtures.push(fixture);
    servers[name] = transport === 'sse' ? { url: fixture.url, transport } : { url: fixture.url };
  }
  const gateway = await startGateway(servers);
  return {
    gateway,
    journal,
    stop: async () => {
      const ends: string[] = [];
      for (const one of [gateway, ...fixtures]) {
        const code = await one.stop();
        if (code !== 0) ends.push(`a process ended with code ${code}: ${one.stderr().slice(-500)}`);
      }
      rmSync(folder, { recursive: true, force: true });
      return ends;
    },
  };
}

/** Rejects when it takes too long. */
async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what} takes more than ${ms} ms`)), ms);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function check(feature: Feature, limits: ClientKind['limits'], scene: Scene): Promise<Cell> {
  const why = limits[feature.name];
  if (why !== undefined) return { kind: 'limit', why };
  try {
    await within(CHECK_MS_MAX, feature.title, feature.check(scene));
    return { kind: 'ok' };
  } catch (error) {
    return { kind: 'broken', why: error instanceof Error ? error.message : String(error) };
  }
}

/** Connects one client to one server and tries every feature; one cell each, in the order of FEATURES. */
export async function tryPair(
  stage: Stage,
  client: ClientKind,
  server: ServerKind,
): Promise<readonly Cell[]> {
  let driver: Driver;
  try {
    const url = `${stage.gateway.url}/mcp/${server.name}`;
    driver = await within(CONNECT_MS_MAX, 'connecting', client.connect(url));
  } catch (error) {
    return FEATURES.map(() => ({ kind: 'broken', why: `cannot connect: ${String(error)}` }));
  }
  const scene: Scene = { driver, journal: stage.journal, hasRoots: client !== INSPECTOR };
  const cells: Cell[] = [];
  for (const feature of FEATURES) cells.push(await check(feature, client.limits, scene));
  await driver.close().catch(() => undefined);
  return cells;
}
