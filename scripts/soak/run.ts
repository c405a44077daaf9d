// One soak: a real gateway before real servers, clients that do what clients do, faults that befall some of the servers.
// Called by scripts/soak.ts and test/soak.test.ts. Promises: bounded in time; ends what it started, whatever happens; says what it saw, and judges
// nothing (report.ts does).
import { startGateway } from '../../test/fixtures/harness.ts';
import { Dice } from '../../test/sim/dice.ts';
import { type ClientKind, runClient, toolsOfAll } from './clients.ts';
import { afflict } from './faults.ts';
import { Ledger, ratioOf } from './ledger.ts';
import { awaitLeftovers, type Leftovers } from './leftovers.ts';
import { type Place, startPlaces } from './places.ts';
import { Rests } from './rests.ts';
import { LegacyClient, modern } from './rpc.ts';
import { listWhole } from './scenes.ts';
import { type Look, lookAt } from './watch.ts';

/** What to run. */
export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly workers: number;
  readonly clients: number;
  /** Fewer servers and a faster pace, so that a few seconds show everything once. */
  readonly small: boolean;
  /** Each collection of the gateway's garbage collector is one of the whole heap; else it is left as it is in production. */
  readonly wholeHeap: boolean;
  /** Tells of every fault. */
  readonly verbose: boolean;
  say(line: string): void;
}

/** What a run was like. */
export interface Soaked {
  readonly options: SoakOptions;
  readonly ledger: Ledger;
  readonly looks: readonly Look[];
  /** The least that it held in each rest, and when all was over. */
  readonly rests: readonly Look[];
  readonly left: Leftovers;
  readonly exitCode: number;
  /** What the gateway wrote that is no word of being ready. */
  readonly logged: number;
  readonly seconds: number;
}

/** Times after which a gateway forgets, short so that a run sees them pass. */
const IDLE = { sessionIdleMs: 5_000, parkedMs: 4_000, drainMs: 5_000 };
const SMALL_IDLE = { ...IDLE, parkedMs: 1_500 };
/** All idle times one after the other, connections' and caches' own among them, and some slowness. */
const LEFTOVERS_MS_MAX = 45_000;
const PACE = { wellMs: [2_000, 12_000], illMs: [200, 3_000] } as const;
const SMALL_PACE = { wellMs: [300, 800], illMs: [100, 300] } as const;
/**
 * JavaScriptCore leaves what outlived one collection (a call that ran at that moment, with its buffers) until the heap has grown by some multiple: garbage
 * that comes and goes over minutes, of 40 to 150 MB for each worker here, in which ten minutes cannot find what is kept. With this they can.
 */
const WHOLE_HEAP = { BUN_JSC_useGenerationalGC: '0' };
/**
 * Room for the servers of a run and no more: the collector takes addresses that are only kept free (175 MB with the default, in each worker) for memory
 * in use, and lets as much garbage lie before it looks.
 */
const REGISTRY = { serversMax: 64 };
const WARM_ROUNDS = 2;
const WARM_AT_ONCE = 6;
/** On a machine that has other work to do, processes that start all at once may take longer than a list waits for them: then it is asked again. */
const WARM_MS_MAX = 60_000;
const LINE_MS = 5_000;
const LOOK_MS = 1_000;
const FINAL_LOOKS = 20;

/** Runs it. Rejects when servers or the gateway cannot be started. */
export async function soak(options: SoakOptions): Promise<Soaked> {
  const places = await startPlaces(options.small);
  let gateway: Awaited<ReturnType<typeof startGateway>> | null = null;
  try {
    const servers = Object.fromEntries(places.map(({ name, entry }) => [name, entry]));
    const limits = options.small ? SMALL_IDLE : IDLE;
    const settings = { workers: options.workers, log: { level: 'error' }, limits, registry: REGISTRY };
    gateway = await startGateway(servers, settings, options.wholeHeap ? WHOLE_HEAP : {});
    const before = lookAt(gateway.pid, 0);
    await warmUp(gateway.url, places);
    const { ledger, looks, rests, seconds } = await traffic(options, places, gateway);
    options.say(`traffic is over; waiting until nothing is left, ${LEFTOVERS_MS_MAX / 1000} s at most`);
    const left = await awaitLeftovers(
      { places, pid: gateway.pid, port: Number(new URL(gateway.url).port), before, workers: options.workers },
      LEFTOVERS_MS_MAX,
    );
    if (rests.length > 0) rests.push(await finalLook(gateway.pid, seconds));
    const logged = gateway.stderr().split('\n').length - 1;
    const exitCode = await gateway.stop();
    gateway = null;
    return { options, ledger, looks, rests, left, exitCode, logged, seconds };
  } finally {
    await gateway?.stop();
    await Promise.all(places.map((place) => place.stop()));
  }
}

/**
 * Asks for the lists of all, in both eras, over so many connections at once that every worker has heard each server's, until they are whole: one that was
 * never heard is left out of a list when it takes longer than the bound, as processes may that start all at once.
 */
async function warmUp(gatewayUrl: string, places: readonly Place[]): Promise<void> {
  const url = `${gatewayUrl}/mcp`;
  const tools = toolsOfAll(places);
  const legacy = async (): Promise<void> => {
    const client = new LegacyClient(url);
    await client.begin();
    await listWhole((method, params) => client.request(method, params), tools);
    await client.end(false);
  };
  const round = async (): Promise<void> => {
    const both = Array.from({ length: WARM_AT_ONCE }, () => [
      listWhole((method, params) => modern(url, method, params), tools),
      legacy(),
    ]);
    const ended = await Promise.allSettled(both.flat());
    for (const one of ended) if (one.status === 'rejected') throw one.reason;
  };
  const untilMs = performance.now() + WARM_MS_MAX;
  for (let good = 0; good < WARM_ROUNDS; ) {
    try {
      await round();
      good++;
    } catch (error) {
      if (performance.now() > untilMs) throw error;
      await Bun.sleep(LOOK_MS);
    }
  }
}

/** Lets clients and faults loose for the time of the run. */
async function traffic(
  options: SoakOptions,
  places: readonly Place[],
  gateway: { readonly url: string; readonly pid: number },
): Promise<{ ledger: Ledger; looks: Look[]; rests: Look[]; seconds: number }> {
  const ledger = new Ledger((health, kind) => {
    if (health === 'healthy') options.say(`  FAILED: ${kind}`);
  });
  const dice = new Dice(options.seed);
  const nextSeed = (): number => dice.whole(1, 2 ** 31 - 1);
  const fromMs = performance.now();
  const looks = [lookAt(gateway.pid, 0)];
  const rests = new Rests(options.seconds);
  const floors: Look[] = [];
  let isOver = false;
  const sick = places.filter((place) => place.health === 'faulty');
  const tell = (text: string): void => {
    if (options.verbose) options.say(`  ${text}`);
  };
  const pace = options.small ? SMALL_PACE : PACE;
  const ward = { places, gateway, ledger, isOver: () => isOver, pace, tell };
  const crowd = { url: gateway.url, places, ledger, isOver: () => isOver, rested: () => rests.over() };
  const running = [
    ...sick.map((place) => afflict(ward, place, nextSeed())),
    ...Array.from({ length: options.clients }, (_, n) => runClient(crowd, kindOf(n), nextSeed())),
  ];
  try {
    await watch(options, { gateway, ledger, looks, rests, floors, fromMs });
  } finally {
    isOver = true;
    rests.end();
  }
  await Promise.all(running);
  return { ledger, looks, rests: floors, seconds: (performance.now() - fromMs) / 1000 };
}

/** Of twelve clients one is an SDK's, and the others are of both eras. */
function kindOf(n: number): ClientKind {
  if (n % 12 === 11) return 'sdk';
  return n % 2 === 0 ? 'modern' : 'legacy';
}

/** Looks every second and says a line every few, until the time is up. */
async function watch(
  { seconds, say }: SoakOptions,
  run: {
    gateway: { pid: number };
    ledger: Ledger;
    looks: Look[];
    rests: Rests;
    floors: Look[];
    fromMs: number;
  },
): Promise<void> {
  const { ledger, looks } = run;
  let before = 0;
  let saidMs = run.fromMs;
  while (performance.now() - run.fromMs < seconds * 1000) {
    await Bun.sleep(Math.min(LOOK_MS, seconds * 1000));
    const nowMs = performance.now();
    const look = lookAt(run.gateway.pid, (nowMs - run.fromMs) / 1000);
    const rest = run.rests.at(look.seconds);
    // What is looked at in a rest says nothing of what runs.
    if (!run.rests.isOn) looks.push(look);
    if (rest !== null) run.floors[rest] = lower(run.floors[rest], look);
    if (nowMs - saidMs < LINE_MS) continue;
    const { healthy, faulty } = ledger.scores;
    const total = healthy.succeeded + healthy.failed + faulty.succeeded + faulty.failed;
    const rate = (total - before) / ((nowMs - saidMs) / 1000);
    say(
      `${look.seconds.toFixed(0).padStart(5)} s  ${rate.toFixed(0).padStart(5)} calls/s  healthy ${percent(ratioOf(healthy), 4)} (${healthy.failed} failed)  faulty ${percent(ratioOf(faulty), 1)}  RSS ${look.residentMb.toFixed(0)} MB  handles ${look.handles}  children ${look.children}`,
    );
    before = total;
    saidMs = nowMs;
  }
}

/** The look at which less was resident. */
function lower(one: Look | undefined, other: Look): Look {
  return one === undefined || other.residentMb < one.residentMb ? other : one;
}

/** The least that it holds once all has been over for as long as in a rest. */
async function finalLook(pid: number, seconds: number): Promise<Look> {
  let least = lookAt(pid, seconds);
  for (let n = 0; n < FINAL_LOOKS; n++) {
    await Bun.sleep(LOOK_MS);
    least = lower(least, lookAt(pid, seconds));
  }
  return least;
}

/** A share in per cent. */
export function percent(share: number, digits: number): string {
  return `${(share * 100).toFixed(digits)} %`;
}
