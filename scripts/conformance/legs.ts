// The ways to the fixture that the suite's server scenarios are run through: itself, a gateway that speaks its era, a gateway that bridges.
// Called by scripts/conformance.ts. Promises: nothing is started before start(); what start() returns has to be stopped in that order.
import {
  type FixtureEras,
  fixtureCommand,
  type Served,
  type ServerEntry,
  startFixture,
  startGateway,
} from '../../test/fixtures/harness.ts';
import { listFile, SETS } from './suite.ts';

/** One way to reach the fixture. */
export interface Leg {
  readonly name: string;
  /** The flag's name for it, without the number of workers. */
  readonly way: string;
  readonly workers: string;
  /** The sets that are run through it. */
  readonly sets: readonly string[];
  /** Whether the report has to equal the direct one. */
  readonly isCompared: boolean;
  /** The list of scored scenarios that may fail. */
  readonly expected: string;
  start(): Promise<Started>;
}

/** A way that is open: the endpoint's URL, and what to stop, in that order. */
export interface Started {
  readonly url: string;
  readonly served: readonly Served[];
}

/** Data workers of the gateways: each way through a gateway is tried with each of these numbers. */
export const WORKERS = ['1', '2', '4'];
/** The ways that keep the client's era. */
export const WAYS = ['direct', 'http', 'aggregate', 'stdio'];
/** The ways that change it: the server's era, then its transport, or `aggregate`: over HTTP, at the endpoint where all servers are one. */
export const BRIDGE_WAYS = [
  'legacy-http',
  'legacy-sse',
  'legacy-stdio',
  'legacy-aggregate',
  'modern-http',
  'modern-stdio',
  'modern-aggregate',
];

const NONE_EXPECTED = listFile('expected-none');
const STDIO_EXPECTED = listFile('expected-stdio');
const NAME = 'everything';
const [OLD_SET, NEW_SET] = SETS;

/** The fixture without a gateway. */
export const DIRECT: Leg = {
  name: 'direct',
  way: 'direct',
  workers: '1',
  sets: SETS,
  isCompared: false,
  expected: NONE_EXPECTED,
  start: async () => {
    const fixture = await startFixture();
    return { url: fixture.url, served: [fixture] };
  },
};

async function behindGateway(path: string, workers: number): Promise<Started> {
  const fixture = await startFixture();
  const gateway = await startGateway({ [NAME]: { url: fixture.url } }, { workers });
  return { url: `${gateway.url}${path}`, served: [gateway, fixture] };
}

/** The ways through a gateway with so many workers that keep the client's era. */
export function legsWith(workers: string): readonly Leg[] {
  const count = Number(workers);
  const leg = (way: string, start: Leg['start'], isCompared: boolean): Leg => ({
    name: `${way}-${workers}w`,
    way,
    workers,
    sets: SETS,
    isCompared,
    expected: isCompared ? NONE_EXPECTED : STDIO_EXPECTED,
    start,
  });
  return [
    leg('http', () => behindGateway(`/mcp/${NAME}`, count), true),
    leg('aggregate', () => behindGateway('/mcp', count), true),
    leg(
      'stdio',
      async () => {
        const gateway = await startGateway({ [NAME]: fixtureCommand() }, { workers: count });
        return { url: `${gateway.url}/mcp/${NAME}`, served: [gateway] };
      },
      false,
    ),
  ];
}

/** What a gateway needs to know of a fixture of one era over one transport, and the fixture's process, if it is one of its own. */
async function serverOf(
  era: FixtureEras,
  transport: string,
): Promise<{ readonly entry: ServerEntry; readonly own: readonly Served[] }> {
  // one scenario has 600 ms for a call with capabilities of its own, which means a child of its own
  if (transport === 'stdio')
    return { entry: { ...fixtureCommand(era), ...(era === 'legacy' ? { warm: 1 } : {}) }, own: [] };
  if (transport === 'sse') {
    const fixture = await startFixture(era, { transport });
    return { entry: { url: fixture.url, transport }, own: [fixture] };
  }
  const fixture = await startFixture(era);
  return { entry: { url: fixture.url }, own: [fixture] };
}

function bridge(way: string, workers: string): Leg {
  const [era, transport = ''] = way.split('-');
  const isLegacy = era === 'legacy';
  return {
    name: `${way}-${workers}w`,
    way,
    workers,
    sets: [isLegacy ? NEW_SET : OLD_SET],
    isCompared: false,
    expected: listFile(isLegacy ? 'expected-bridge-legacy' : 'expected-bridge-modern'),
    start: async () => {
      const { entry, own } = await serverOf(isLegacy ? 'legacy' : 'modern', transport);
      const gateway = await startGateway({ [NAME]: entry }, { workers: Number(workers) });
      const path = transport === 'aggregate' ? '/mcp' : `/mcp/${NAME}`;
      return { url: `${gateway.url}${path}`, served: [gateway, ...own] };
    },
  };
}

/** The ways in which the server speaks one era only and the set is the other one's; the gateway finds out by itself. */
export const BRIDGE_LEGS: readonly Leg[] = [
  ...BRIDGE_WAYS.map((way) => bridge(way, '1')),
  bridge('legacy-http', '2'),
  bridge('modern-http', '2'),
];
