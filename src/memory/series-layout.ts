// Where the figures of servers, tools and endpoints lie that /metrics shows: one stripe a worker, behind the journals.
// Called by layout.ts (lays stripes out), series.ts, series-read.ts and reclaim.ts. Promises: as layout.ts. All of it is doubles, which count exactly to 2^53.

/** Shape of the coarse histograms of times: bucket 0 is below 2^5 = 32 µs, each further one twice as wide, the last one without a bound. */
export const TIMES = Object.freeze({
  firstExponent: 5,
  /** Bounds 2^5 … 2^28 µs (268 s): 24 with a bound, one without. */
  bounded: 24,
  buckets: 25,
  /** The buckets, then the sum in µs. */
  sum: 25,
  places: 26,
});

/** The histograms of one subject, one behind the other. A phase has a record of those that were in it: who waited for no connection is not in `queue`. */
export const PHASE = Object.freeze({ total: 0, gateway: 1, queue: 2, connect: 3, upstream: 4 });
const PHASES = 5;

/** Methods that a server's exchanges are counted by; whatever else there is counts as the last. */
export const COUNTED_METHODS = Object.freeze([
  'initialize',
  'ping',
  'server/discover',
  'subscriptions/listen',
  'tools/list',
  'tools/call',
  'prompts/list',
  'prompts/get',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'resources/subscribe',
  'completion/complete',
  'logging/setLevel',
  'notification',
  'other',
] as const);
/** As journal-layout.ts counts them. */
export const OUTCOME_NUMBERS = 4;

/** Float64 places of a server's figures. */
export const SERVER_SERIES = Object.freeze({
  /** By method and outcome: 16 × 4 = 64. */
  exchanges: 0,
  requestBytes: 64,
  replyBytes: 65,
  /** Sent again, or to a second place besides. */
  repeats: 66,
  cached: 67,
  /** Answered with a JSON-RPC error of the server's own. */
  rpcErrors: 68,
  /** 5 × 26 = 130, from the next line on. */
  times: 72,
  /** 72 + 130 = 202, rounded up to whole lines. */
  places: 208,
});

/** Float64 places of an endpoint's figures besides its counters and its histogram. */
export const ENDPOINT_SERIES = Object.freeze({ times: 0, /** 130, rounded up. */ places: 136 });

/** Float64 places of a tool's figures. The first line and the second hold its name. */
export const TOOL_SERIES = Object.freeze({
  /** Behind the words of TOOL_KEY and 112 bytes of name: 16 + 112 = 128 bytes. */
  exchanges: 16,
  times: 24,
  /** 24 + 130 = 154, rounded up. */
  places: 160,
});

/** Words at the start of a tool's place; the name's bytes follow. */
export const TOOL_KEY = Object.freeze({
  state: 0,
  cell: 1,
  hash: 2,
  nameBytes: 3,
  /** 4 words × 4 bytes. */
  nameAtBytes: 16,
  nameBytesMax: 112,
});

/** States of a tool's place. A freed one ends no search, as an empty one does. */
export const TOOL_STATE = Object.freeze({ empty: 0, taken: 1, freed: 2 });

/** Places that one look-up of a tool looks at. */
export const TOOL_PROBES = 16;

/** Numbers that errors have at most; base/error-numbers.ts counts them. */
export const ERROR_SERIES = 256;

/** How many of everything a stripe has. */
interface SeriesShape {
  readonly upstreams: number;
  readonly endpoints: number;
  readonly tools?: number;
}

/** Where stripes begin. */
interface SeriesPlan extends SeriesShape {
  readonly seriesAt: number;
}

/** Bytes of one worker's stripe; a whole number of lines, since each part is. */
export function seriesBytes({ upstreams, endpoints, tools = 0 }: SeriesShape): number {
  return (
    8 *
    (ERROR_SERIES +
      endpoints * ENDPOINT_SERIES.places +
      upstreams * SERVER_SERIES.places +
      tools * TOOL_SERIES.places)
  );
}

/** Float64 index of a worker's counts of errors, by number. */
export function errorsAt(plan: SeriesPlan, worker: number): number {
  return (plan.seriesAt + worker * seriesBytes(plan)) / 8;
}

/** Float64 index of an endpoint's figures in a worker's stripe. */
export function endpointSeriesAt(plan: SeriesPlan, worker: number, endpoint: number): number {
  return errorsAt(plan, worker) + ERROR_SERIES + endpoint * ENDPOINT_SERIES.places;
}

/** Float64 index of a server's figures. */
export function serverSeriesAt(plan: SeriesPlan, worker: number, cell: number): number {
  return endpointSeriesAt(plan, worker, plan.endpoints) + cell * SERVER_SERIES.places;
}

/** Float64 index of one place for a tool. */
export function toolSeriesAt(plan: SeriesPlan, worker: number, place: number): number {
  return serverSeriesAt(plan, worker, plan.upstreams) + place * TOOL_SERIES.places;
}

/** Offset within a place of the count of a method's exchanges that ended in one way. */
export function exchangesPlace(method: number, outcome: number): number {
  return SERVER_SERIES.exchanges + method * OUTCOME_NUMBERS + outcome;
}

/** Offset of a phase's histogram behind the start of `times`. */
export function phasePlace(phase: number): number {
  return (phase % PHASES) * TIMES.places;
}
