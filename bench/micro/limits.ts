// A fixed bound on concurrency beside two that adapt to latency (gradient and Vegas), in front of a server whose capacity changes: a simulation, event by event.
// Called by bench/run.ts as `limits` and, at toy size, by the tests. Promises: the same seed gives the same figures on every machine; each limiter meets the very same
// requests. It is the ground of docs/decisions/0040. Sources of the ideas: TCP Vegas (Brakmo, Peterson 1995); Netflix's article "Performance Under Load" (2018).
import { type BenchResult, type BenchRow, checksumOf } from '../report.ts';

/** Bounds what is under way, and hears how long each request took. */
interface Limiter {
  readonly max: number;
  done(ms: number, underWay: number): void;
}

const fixed = (max: number): Limiter => ({ max, done: () => undefined });

const MIN = 4;
const MAX = 1_000;

/** The bound follows the ratio of the usual time to the present one, with room for a queue of its root. */
class Gradient implements Limiter {
  max = 20;
  #longMs = 0;
  #shortMs = 0;
  #samples = 0;

  done(ms: number, underWay: number): void {
    this.#samples++;
    // Averages over about 600 and 10 requests; at first over all that there were.
    this.#longMs += (ms - this.#longMs) / Math.min(this.#samples, 600);
    this.#shortMs += (ms - this.#shortMs) / Math.min(this.#samples, 10);
    // What was slow for long must not stay the measure once it is quick again.
    if (this.#longMs > 2 * this.#shortMs) this.#longMs *= 0.95;
    if (underWay < this.max / 2) return;
    const gradient = Math.max(0.5, Math.min(1, (1.5 * this.#longMs) / this.#shortMs));
    const next = this.max * gradient + Math.sqrt(this.max);
    this.max = Math.max(MIN, Math.min(MAX, this.max * 0.8 + next * 0.2));
  }
}

/** The bound grows while little waits at the server and shrinks when much does, as told by the shortest time seen. */
class Vegas implements Limiter {
  max = 20;
  #leastMs = Number.POSITIVE_INFINITY;
  #samples = 0;

  done(ms: number, underWay: number): void {
    // Looked for anew now and then, so that a server that has become slower is not held to what it was.
    if (++this.#samples % (30 * Math.ceil(this.max)) === 0) this.#leastMs = ms;
    this.#leastMs = Math.min(this.#leastMs, ms);
    if (underWay < this.max / 2) return;
    const waiting = Math.ceil(this.max * (1 - this.#leastMs / ms));
    const step = Math.max(1, Math.log10(this.max));
    if (waiting < 3 * step) this.max = Math.min(MAX, this.max + step);
    else if (waiting > 6 * step) this.max = Math.max(MIN, this.max - step);
  }
}

/** A tool: how long it takes on a server that has nothing else to do, and how often it is called. */
interface Tool {
  readonly ms: number;
  readonly perSecond: number;
  /** It is called in the middle third alone. */
  readonly isGuest?: boolean;
}

interface Scenario {
  readonly name: string;
  readonly tools: readonly Tool[];
  /** Requests that the server works on at once; others wait there. */
  readonly slots: (share: number) => number;
  /** Times longer than usual. */
  readonly slowness: (share: number) => number;
}

const SLOTS = 16;
const isMiddle = (share: number): boolean => share > 1 / 3 && share < 2 / 3;
const steadily = (): number => 1;
const all = (): number => SLOTS;
const QUICK: Tool = { ms: 20, perSecond: 560 };

/** 16 slots at 20 ms are 800 a second: 70 % of that is asked for, unless a scenario says otherwise. */
const SCENARIOS: readonly Scenario[] = [
  { name: 'steady, 70 % load', tools: [QUICK], slots: all, slowness: steadily },
  { name: 'overload, 150 %', tools: [{ ...QUICK, perSecond: 1_200 }], slots: all, slowness: steadily },
  {
    name: 'a quarter of the slots for a third',
    tools: [QUICK],
    slots: (t) => (isMiddle(t) ? 4 : SLOTS),
    slowness: steadily,
  },
  {
    name: 'four times slower for a third',
    tools: [QUICK],
    slots: all,
    slowness: (t) => (isMiddle(t) ? 4 : 1),
  },
  {
    name: 'two tools, 5 ms and 2 s, slots for both',
    tools: [
      { ms: 5, perSecond: 400 },
      { ms: 2_000, perSecond: 10 },
    ],
    slots: () => 64,
    slowness: steadily,
  },
  {
    name: 'a tool of 3 s joins for a third, slots for it',
    tools: [
      { ms: 5, perSecond: 400 },
      { ms: 3_000, perSecond: 12, isGuest: true },
    ],
    slots: () => 96,
    slowness: steadily,
  },
];

/** A client gives up then; the server goes on, since it is not told what waits in it. */
const PATIENCE_MS = 10_000;

interface Outcome {
  served: number;
  refused: number;
  late: number;
  readonly times: number[];
}

function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 1) / 4_294_967_297;
  };
}

interface Arrival {
  readonly atMs: number;
  readonly ms: number;
}

/** All requests of a run, in their order; times between them and at the server are exponential. */
function arrivalsOf({ tools }: Scenario, totalMs: number): readonly Arrival[] {
  const random = chance(7);
  const arrivals = tools.flatMap(({ ms, perSecond, isGuest }) => {
    const own: Arrival[] = [];
    for (let atMs = 0; ; ) {
      atMs += (-Math.log(random()) * 1_000) / perSecond;
      if (atMs >= totalMs) return own;
      const isAway = isGuest === true && !isMiddle(atMs / totalMs);
      // An Erlang of four steps: most calls of a tool take about as long as it usually does.
      const steps = random() * random() * random() * random();
      if (!isAway) own.push({ atMs, ms: (-Math.log(steps) / 4) * ms });
    }
  });
  return arrivals.sort((a, b) => a.atMs - b.atMs);
}

/** The server and the limiter before it, from one event to the next. */
function simulate(scenario: Scenario, limiter: Limiter, totalMs: number): Outcome {
  const outcome: Outcome = { served: 0, refused: 0, late: 0, times: [] };
  const waiting: Arrival[] = [];
  let first = 0;
  /** Ends of what the server works on; few, so that a list is enough. */
  let working: { endMs: number; arrival: Arrival }[] = [];
  const begin = (nowMs: number): void => {
    const share = nowMs / totalMs;
    while (first < waiting.length && working.length < scenario.slots(share)) {
      const arrival = waiting[first++];
      if (arrival !== undefined)
        working.push({ endMs: nowMs + arrival.ms * scenario.slowness(share), arrival });
    }
  };
  const finishUntil = (nowMs: number): void => {
    for (;;) {
      const next = working.reduce<(typeof working)[number] | null>(
        (least, one) => (least === null || one.endMs < least.endMs ? one : least),
        null,
      );
      if (next === null || next.endMs > nowMs) return;
      const underWay = working.length + waiting.length - first;
      working = working.filter((one) => one !== next);
      const ms = next.endMs - next.arrival.atMs;
      limiter.done(ms, underWay);
      if (ms > PATIENCE_MS) outcome.late++;
      else {
        outcome.served++;
        outcome.times.push(ms);
      }
      begin(next.endMs);
    }
  };
  for (const arrival of arrivalsOf(scenario, totalMs)) {
    finishUntil(arrival.atMs);
    if (working.length + waiting.length - first >= Math.floor(limiter.max)) outcome.refused++;
    else waiting.push(arrival);
    begin(arrival.atMs);
  }
  finishUntil(Number.POSITIVE_INFINITY);
  return outcome;
}

const LIMITERS: readonly (readonly [string, (slots: number) => Limiter])[] = [
  ['none', () => fixed(Number.POSITIVE_INFINITY)],
  ['fixed, 2 × slots', (slots) => fixed(2 * slots)],
  ['fixed, 8 × slots', (slots) => fixed(8 * slots)],
  ['gradient', () => new Gradient()],
  ['Vegas', () => new Vegas()],
];

/** Simulates every scenario with every limiter. */
export function benchLimits({ toy }: { readonly toy: boolean }): BenchResult {
  const totalMs = toy ? 3_000 : 90_000;
  const rows = SCENARIOS.flatMap((scenario) =>
    LIMITERS.map(([name, make]): BenchRow => {
      const { served, refused, late, times } = simulate(scenario, make(scenario.slots(0)), totalMs);
      times.sort((a, b) => a - b);
      const at = (share: number): number =>
        times[Math.min(times.length - 1, Math.ceil(times.length * share) - 1)] ?? 0;
      return {
        name: `${scenario.name}: ${name}`,
        figures: {
          'served/s': served / (totalMs / 1_000),
          'p50 ms': at(0.5),
          'p99 ms': at(0.99),
          'refused %': (100 * refused) / (served + refused + late),
          'late %': (100 * late) / (served + refused + late),
        },
      };
    }),
  );
  const sum = rows.map(({ figures }) => Math.round(Number(figures['served/s']))).join();
  return {
    title: 'bounds on concurrency, fixed and adaptive',
    method: `simulated: ${totalMs / 1_000} s of requests at random (Poisson, one seed), a server with ${SLOTS} slots (more where it says so) and a queue; served: answered within ${PATIENCE_MS / 1_000} s`,
    rows,
    checksum: checksumOf(sum),
  };
}
