// The faults of a soak: who falls ill when, of what, and how long after its end it serves again.
// Called by run.ts. Promises: drawn from a seed, one at a time for each server; a fault that has begun is ended, also when the run is over; only
// processes of this run are signalled.
import { Dice } from '../../test/sim/dice.ts';
import type { Ledger } from './ledger.ts';
import type { Place } from './places.ts';
import { modern } from './rpc.ts';
import { echo, type Way } from './scenes.ts';
import type { Mood } from './shim.ts';

/** What befalls a server: `kill` ends its process, `freeze` stops it for a while, the rest is done to its connections. */
export type Fault = 'kill' | 'freeze' | Exclude<Mood, 'pass'>;

/** What faults act on. */
export interface Ward {
  readonly places: readonly Place[];
  readonly gateway: { readonly url: string; readonly pid: number };
  readonly ledger: Ledger;
  readonly isOver: () => boolean;
  /** How long servers are well between two faults, and how long a fault lasts, in ms. */
  readonly pace: { readonly wellMs: readonly [number, number]; readonly illMs: readonly [number, number] };
  /** Hears of each fault, in words. */
  tell(text: string): void;
}

const PROCESS_FAULTS: readonly Fault[] = ['kill', 'freeze'];
const WIRE_FAULTS: readonly Fault[] = ['reset', 'garbage', 'slow', 'cut'];
/** Longest wait for a server to serve again, and how often it is asked. */
const RECOVERY_MS_MAX = 15_000;
const ASK_EVERY_MS = 10;
const ASKS_MAX = 32;

/** Lets one server fall ill again and again; resolves when the run is over and the server is well. */
export async function afflict(ward: Ward, place: Place, seed: number): Promise<void> {
  const dice = new Dice(seed);
  const { wellMs, illMs } = ward.pace;
  const faults = place.shim === null ? PROCESS_FAULTS : [...PROCESS_FAULTS, ...WIRE_FAULTS];
  while (await rest(ward, dice.between(...wellMs))) {
    const fault = faults[dice.whole(0, faults.length - 1)] ?? 'kill';
    const ms = dice.between(...illMs);
    ward.tell(`${place.name}: ${fault} for ${ms.toFixed(0)} ms`);
    await befall(ward, place, fault, ms);
    const recovered = await recovery(ward, place);
    ward.ledger.recoveries.push({ server: place.name, fault, ms: recovered });
    if (recovered === null) ward.tell(`${place.name}: not served ${RECOVERY_MS_MAX} ms after ${fault}`);
  }
}

/** Waits; false as soon as the run is over. */
async function rest(ward: Ward, ms: number): Promise<boolean> {
  const until = performance.now() + ms;
  while (!ward.isOver() && performance.now() < until) await Bun.sleep(Math.min(50, ms));
  return !ward.isOver();
}

/** One fault from its beginning to its end: when this resolves, the server could serve. */
async function befall(ward: Ward, place: Place, fault: Fault, ms: number): Promise<void> {
  if (fault === 'kill') {
    if (place.isProcess) {
      for (const pid of place.pids(ward.gateway.pid)) signal(pid, 'SIGKILL');
      return;
    }
    await place.kill();
    await Bun.sleep(ms);
    await place.revive();
  } else if (fault === 'freeze') {
    const pids = place.pids(ward.gateway.pid);
    for (const pid of pids) signal(pid, 'SIGSTOP');
    await Bun.sleep(ms);
    for (const pid of pids) signal(pid, 'SIGCONT');
  } else if (place.shim !== null) {
    place.shim.mood = fault;
    await Bun.sleep(ms);
    place.shim.mood = 'pass';
  }
}

function signal(pid: number, name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
  try {
    process.kill(pid, name);
  } catch {
    // The gateway has ended it meanwhile.
  }
}

/** Time until a call through the gateway is answered as it should be, or null. */
async function recovery(ward: Ward, place: Place): Promise<number | null> {
  const url = `${ward.gateway.url}/mcp/${place.name}`;
  const way: Way = { place, url, name: (own) => own, uri: (own) => own };
  const asker = {
    legacy: null,
    ask: (method: string, params: Readonly<Record<string, unknown>>) =>
      modern(url, method, params, { ms: RECOVERY_MS_MAX }),
  };
  const fromMs = performance.now();
  const first = Promise.withResolvers<number>();
  let underWay = 0;
  let isFound = false;
  for (let n = 0; !isFound && performance.now() - fromMs < RECOVERY_MS_MAX; n++) {
    if (underWay < ASKS_MAX) {
      underWay++;
      echo({ asker, way }, `soak-after-${n}`)
        .then(
          () => {
            isFound = true;
            first.resolve(performance.now() - fromMs);
          },
          () => undefined,
        )
        .finally(() => underWay--);
    }
    await Promise.race([Bun.sleep(ASK_EVERY_MS), first.promise]);
  }
  return isFound ? first.promise : null;
}
