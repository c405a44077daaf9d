// The figures of servers, tools and endpoints, summed over all workers: what /metrics shows.
// Called by control/metrics/. Promises: reads while workers write, without a lock: a sum is of one moment or of the next, never of half a number.
import { decode } from '../base/bytes.ts';
import { ERROR_NUMBERS, errorOfNumber } from '../base/error-numbers.ts';
import { ERRORS, type ErrorCode, type ErrorSource } from '../base/errors.ts';
import type { PlaneMemory } from './memory.ts';
import {
  COUNTED_METHODS,
  ENDPOINT_SERIES,
  endpointSeriesAt,
  errorsAt,
  exchangesPlace,
  OUTCOME_NUMBERS,
  PHASE,
  phasePlace,
  SERVER_SERIES,
  serverSeriesAt,
  TIMES,
  TOOL_KEY,
  TOOL_SERIES,
  TOOL_STATE,
  toolSeriesAt,
} from './series-layout.ts';

/** A phase by its name; `total` is the whole. */
export type PhaseName = keyof typeof PHASE;

/** Upper bounds of the buckets that have one, in µs. */
export const BOUNDS_US: readonly number[] = Array.from(
  { length: TIMES.bounded },
  (_, at) => 2 ** (TIMES.firstExponent + at),
);

/** One histogram: how many were in each bucket (the last one without a bound), and the sum in µs. */
export interface Times {
  readonly buckets: readonly number[];
  readonly sumUs: number;
}

/** The histograms of one subject. */
export type PhaseTimes = Readonly<Record<PhaseName, Times>>;

/** Exchanges of one method that ended in one way; `outcome` is a number of server/record.ts. */
export interface MethodCount {
  readonly method: string;
  readonly outcome: number;
  readonly count: number;
}

/** What is known of one server. */
export interface ServerSeries {
  readonly exchanges: readonly MethodCount[];
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly repeats: number;
  readonly cached: number;
  readonly rpcErrors: number;
  readonly times: PhaseTimes;
}

/** What is known of one tool. */
export interface ToolSeries {
  /** Its server's cell. */
  readonly cell: number;
  readonly name: string;
  /** By outcome. */
  readonly exchanges: readonly number[];
  readonly times: PhaseTimes;
}

// keys() forgets what the keys are.
const PHASES = Object.keys(PHASE) as readonly PhaseName[];

/** Adds up the same places of several stripes. */
function summed(doubles: Float64Array, starts: readonly number[], places: number): Float64Array {
  const sums = new Float64Array(places);
  for (const start of starts)
    for (let place = 0; place < places; place++)
      sums[place] = (sums[place] ?? 0) + (doubles[start + place] ?? 0);
  return sums;
}

function timesIn(sums: Float64Array, at: number): PhaseTimes {
  const of = (phase: PhaseName): Times => {
    const start = at + phasePlace(PHASE[phase]);
    const sumUs = sums[start + TIMES.sum] ?? 0;
    return { buckets: [...sums.subarray(start, start + TIMES.buckets)], sumUs };
  };
  // fromEntries() forgets the names, and PHASES holds each of them once.
  return Object.fromEntries(PHASES.map((phase) => [phase, of(phase)])) as PhaseTimes;
}

function everyWorker({ plan }: PlaneMemory): readonly number[] {
  return Array.from({ length: plan.workers }, (_, worker) => worker);
}

/** The figures of the server with this cell. */
export function serverSeries(memory: PlaneMemory, cell: number): ServerSeries {
  const starts = everyWorker(memory).map((worker) => serverSeriesAt(memory.plan, worker, cell));
  const sums = summed(memory.doubles, starts, SERVER_SERIES.places);
  const exchanges = COUNTED_METHODS.flatMap((method, number) =>
    Array.from({ length: OUTCOME_NUMBERS }, (_, outcome) => ({
      method,
      outcome,
      count: sums[exchangesPlace(number, outcome)] ?? 0,
    })).filter(({ count }) => count > 0),
  );
  return {
    exchanges,
    requestBytes: sums[SERVER_SERIES.requestBytes] ?? 0,
    replyBytes: sums[SERVER_SERIES.replyBytes] ?? 0,
    repeats: sums[SERVER_SERIES.repeats] ?? 0,
    cached: sums[SERVER_SERIES.cached] ?? 0,
    rpcErrors: sums[SERVER_SERIES.rpcErrors] ?? 0,
    times: timesIn(sums, SERVER_SERIES.times),
  };
}

/** Where the time of an endpoint's exchanges went. */
export function endpointTimes(memory: PlaneMemory, endpoint: number): PhaseTimes {
  const starts = everyWorker(memory).map((worker) => endpointSeriesAt(memory.plan, worker, endpoint));
  return timesIn(summed(memory.doubles, starts, ENDPOINT_SERIES.places), ENDPOINT_SERIES.times);
}

/** How many exchanges each error has ended; those that ended none are left out. */
export function errorCounts(
  memory: PlaneMemory,
): readonly { readonly code: ErrorCode; readonly source: ErrorSource; readonly count: number }[] {
  const starts = everyWorker(memory).map((worker) => errorsAt(memory.plan, worker));
  const sums = summed(memory.doubles, starts, ERROR_NUMBERS);
  return [...sums].flatMap((count, number) => {
    const code = errorOfNumber(number);
    return code === null || count === 0 ? [] : [{ code, source: ERRORS[code].source, count }];
  });
}

/** The tools that are counted by name, of all servers. */
export function toolSeries(memory: PlaneMemory): readonly ToolSeries[] {
  const places = new Map<string, number[]>();
  for (const worker of everyWorker(memory))
    for (let place = 0; place < (memory.plan.tools ?? 0); place++) {
      const at = toolSeriesAt(memory.plan, worker, place);
      if (Atomics.load(memory.words, at * 2 + TOOL_KEY.state) !== TOOL_STATE.taken) continue;
      const { cell, name } = keyAt(memory, at);
      const key = `${cell} ${name}`;
      const same = places.get(key);
      if (same === undefined) places.set(key, [at]);
      else same.push(at);
    }
  return [...places.values()].map((starts) => {
    const sums = summed(memory.doubles, starts, TOOL_SERIES.places);
    const { exchanges } = TOOL_SERIES;
    return {
      ...keyAt(memory, starts[0] ?? 0),
      exchanges: [...sums.subarray(exchanges, exchanges + OUTCOME_NUMBERS)],
      times: timesIn(sums, TOOL_SERIES.times),
    };
  });
}

function keyAt({ words, buffer }: PlaneMemory, at: number): { readonly cell: number; readonly name: string } {
  const length = words[at * 2 + TOOL_KEY.nameBytes] ?? 0;
  const bytes = new Uint8Array(
    buffer,
    at * 8 + TOOL_KEY.nameAtBytes,
    Math.min(length, TOOL_KEY.nameBytesMax),
  );
  return { cell: words[at * 2 + TOOL_KEY.cell] ?? -1, name: unescaped(decode(bytes)) };
}

/** A name as it is meant: in its message it may be spelled with escapes. */
function unescaped(spelled: string): string {
  if (!spelled.includes('\\')) return spelled;
  try {
    return String(JSON.parse(`"${spelled}"`));
  } catch {
    return spelled;
  }
}
