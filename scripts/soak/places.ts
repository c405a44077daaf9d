// What stands behind the gateway of a soak: servers of every kind that stay well, and others that faults befall.
// Called by run.ts. Promises: every process and socket is of this run and goes with stop(); the stdio servers that faults befall are told from
// the others by their command line.

import { STDIO_ECHO, startEcho } from '../../bench/macro/peers.ts';
import { commandOf, treeOf } from '../../bench/macro/target.ts';
import {
  type FixtureEras,
  fixtureCommand,
  type Served,
  type ServerEntry,
  type StdioCommand,
  startFixture,
} from '../../test/fixtures/harness.ts';
import type { Health } from './ledger.ts';
import { Shim } from './shim.ts';

/** A server behind the gateway. */
export interface Place {
  readonly name: string;
  readonly health: Health;
  /** `fixture` has everything; `echo` has the tool echo, which wants a text. */
  readonly kind: 'fixture' | 'echo';
  /** Whether the gateway starts it. */
  readonly isProcess: boolean;
  readonly entry: ServerEntry & {
    readonly timeouts?: Readonly<Record<string, number>>;
  };
  /** Where it is asked without the gateway; null on stdio. */
  readonly directUrl: string | null;
  /** What it speaks there. */
  readonly era: FixtureEras;
  readonly shim: Shim | null;
  /** Ends the process as a crash would, and starts it again where it was. Nothing at stdio servers, whose processes are the gateway's. */
  kill(): Promise<void>;
  revive(): Promise<void>;
  pids(gateway: number): readonly number[];
  stop(): Promise<unknown>;
}

/** How a server is described. */
interface Wanted {
  readonly name: string;
  readonly era: FixtureEras;
  readonly transport: 'http' | 'sse' | 'stdio';
  readonly echo?: boolean;
  readonly health?: Health;
  readonly shim?: boolean;
  /** A small run has it as well. */
  readonly small?: boolean;
}

const WANTED: readonly Wanted[] = [
  { name: 'modern', era: 'modern', transport: 'http', small: true },
  { name: 'legacy', era: 'legacy', transport: 'http', small: true },
  { name: 'sse', era: 'legacy', transport: 'sse' },
  { name: 'local-modern', era: 'modern', transport: 'stdio' },
  { name: 'local-legacy', era: 'legacy', transport: 'stdio' },
  { name: 'own', era: 'dual', transport: 'stdio', echo: true, small: true },
  { name: 'echo', era: 'dual', transport: 'http', echo: true, small: true },
  { name: 'sick-modern', era: 'modern', transport: 'http', health: 'faulty', shim: true },
  { name: 'sick-legacy', era: 'legacy', transport: 'http', health: 'faulty', shim: true },
  { name: 'sick-sse', era: 'legacy', transport: 'sse', health: 'faulty' },
  { name: 'sick-local', era: 'dual', transport: 'stdio', health: 'faulty', small: true },
  {
    name: 'sick-echo',
    era: 'dual',
    transport: 'http',
    echo: true,
    health: 'faulty',
    shim: true,
    small: true,
  },
];

/** Processes that nobody uses are ended after so long, so that what is left over shows. */
const CHILD_IDLE_MS = 3_000;
/** A server that hangs is given up after so long. */
const SICK_TIMEOUTS = { firstByteMs: 4_000, replyIdleMs: 4_000 };

/** Starts the servers; `small`: only some of them. */
export async function startPlaces(small: boolean): Promise<Place[]> {
  const wanted = WANTED.filter((one) => !small || one.small === true);
  const started = await Promise.allSettled(wanted.map(startPlace));
  const places = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = started.find((one) => one.status === 'rejected');
  if (failed === undefined) return places;
  await Promise.all(places.map((place) => place.stop()));
  throw failed.reason;
}

function startPlace(wanted: Wanted): Promise<Place> {
  return wanted.transport === 'stdio' ? Promise.resolve(localPlace(wanted)) : remotePlace(wanted);
}

function commandOfPlace({ era, echo }: Wanted): StdioCommand {
  if (echo !== true) return fixtureCommand(era);
  const [command = '', ...args] = STDIO_ECHO;
  return { command, args };
}

function localPlace(wanted: Wanted): Place {
  const { name, era, health = 'healthy', echo } = wanted;
  const command = commandOfPlace(wanted);
  const mark = command.args.join(' ');
  return {
    ...{ name, health, era, kind: echo === true ? 'echo' : 'fixture', isProcess: true },
    entry: {
      ...command,
      idleMs: CHILD_IDLE_MS,
      // One that keeps nothing of its clients is shared, all but the one that shows that each session has, and loses, its own.
      ...(echo !== true && { sharing: 'shared' }),
      ...(health === 'faulty' && { timeouts: SICK_TIMEOUTS }),
    },
    ...{ directUrl: null, shim: null },
    kill: () => Promise.resolve(),
    revive: () => Promise.resolve(),
    pids: (gateway) => treeOf(gateway).filter((pid) => commandOf(pid).includes(mark)),
    stop: () => Promise.resolve(),
  };
}

async function remotePlace(wanted: Wanted): Promise<Place> {
  const { name, era, transport, health = 'healthy', echo } = wanted;
  const start = (port: number): Promise<Pick<Served, 'url' | 'pid' | 'stop'>> =>
    echo === true ? startEcho(port) : startFixture(era, { transport, port });
  let served = await start(0);
  const direct = new URL(served.url);
  const shim = wanted.shim === true ? await Shim.start(Number(direct.port)) : null;
  const url = new URL(direct);
  if (shim !== null) url.port = String(shim.port);
  return {
    ...{ name, health, era, kind: echo === true ? 'echo' : 'fixture', isProcess: false, shim },
    entry: { url: url.href, ...(health === 'faulty' && { timeouts: SICK_TIMEOUTS }) },
    directUrl: direct.href,
    kill: async () => {
      process.kill(served.pid, 'SIGKILL');
      await served.stop();
    },
    revive: async () => {
      served = await start(Number(direct.port));
    },
    pids: () => [served.pid],
    stop: async () => {
      await shim?.stop();
      await served.stop();
    },
  };
}
