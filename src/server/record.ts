// The last phase of every exchange: what became of it goes into this worker's counters, histograms and journal.
// Called by http.ts and stdio.ts when an exchange is over. Promises: allocates nothing and never fails; one reading of the clock.
import { numberOfError } from '../base/error-numbers.ts';
import type { Exchange } from '../exchange.ts';
import { METHOD } from '../mcp/protocol.ts';
import { type CounterPlace, CounterStripe } from '../memory/counters.ts';
import { type Histogram, sharedHistogram } from '../memory/histogram.ts';
import { blankEntry, type JournalEntry, JournalWriter } from '../memory/journal.ts';
import { OUTCOMES } from '../memory/journal-layout.ts';
import { COUNTER } from '../memory/layout.ts';
import type { PlaneMemory } from '../memory/memory.ts';
import { type SeriesMarks, SeriesWriter } from '../memory/series.ts';
import { NO_SERVER } from '../observe/timing.ts';
import type { Clock } from '../runtime/runtime.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { EndpointSpec, Snapshot } from '../snapshot.ts';
import type { AccessLog } from './access-log.ts';
import { endSpan } from './span.ts';

/** What a recorder writes into, and what it records. */
export interface RecorderOptions {
  readonly memory: PlaneMemory;
  /** Whose stripes these are. */
  readonly worker: number;
  readonly snapshot: Pick<Snapshot, 'endpoints' | 'places' | 'metrics'>;
  readonly clock: Clock;
  /** Left out: exchanges get no lines in the log. */
  readonly access?: AccessLog | undefined;
}

/** Where an endpoint's figures go. */
interface Place {
  readonly index: number;
  readonly times: Histogram;
}

/** Records the exchanges of one worker. */
export class Recorder {
  readonly #counters: CounterStripe;
  readonly #journal: JournalWriter;
  /** Null when nobody wants figures of servers and tools. */
  readonly #series: SeriesWriter | null;
  /** By path: an endpoint keeps its place over reloads. */
  readonly #places = new Map<string, Place>();
  readonly #memory: PlaneMemory;
  readonly #worker: number;
  readonly #clock: Clock;
  readonly #access: AccessLog | undefined;
  /** Added to the monotonic clock it gives the time of day. */
  #wallOffsetMs = 0;
  /** Filled anew for each exchange. */
  readonly #entry: JournalEntry = blankEntry();
  readonly #marks: SeriesMarks = { toolStart: -1, isRpcError: false, isTimed: true };

  constructor(options: RecorderOptions) {
    const { memory, worker, snapshot, clock } = options;
    this.#memory = memory;
    this.#worker = worker;
    this.#counters = new CounterStripe(memory, worker);
    this.#journal = new JournalWriter(memory, worker);
    this.#series = snapshot.metrics?.series === false ? null : new SeriesWriter(memory, worker);
    this.#clock = clock;
    this.#access = options.access;
    this.use(snapshot);
    this.setWall();
  }

  /** The endpoints of a snapshot have their places; what came before it is recorded on. */
  use({ endpoints, places }: RecorderOptions['snapshot']): void {
    endpoints.forEach(({ path }, at) => {
      const index = places?.endpoints[at] ?? at;
      if (this.#places.get(path)?.index === index) return;
      this.#places.set(path, { index, times: sharedHistogram(this.#memory, this.#worker, index) });
    });
  }

  /** Whatever a path has, it has no more: others may have its place. */
  forget(paths: Iterable<string>): void {
    for (const path of paths) this.#places.delete(path);
  }

  /** Takes the time of day again, which may have been set; called every few seconds. */
  setWall(): void {
    this.#wallOffsetMs = this.#clock.wall() - this.#clock.now();
  }

  /** Exchanges of one more path are recorded as the endpoint's. */
  countAs(path: EndpointSpec, endpoint: EndpointSpec): void {
    const place = this.#places.get(endpoint.path);
    if (place !== undefined) this.#places.set(path.path, place);
  }

  /** Records one exchange that is over. */
  record(exchange: Exchange): void {
    const place = this.#places.get(exchange.endpoint.path);
    if (place === undefined) return;
    exchange.endAt(this.#clock.now());
    const entry = this.#fill(exchange, place);
    this.#count(exchange, place.index, entry.outcome);
    const isTimed = hasLatency(exchange);
    if (isTimed) place.times.record(entry.durationUs);
    this.#journal.write(entry);
    this.#access?.note(exchange, entry);
    if (exchange.span !== null) endSpan(exchange, exchange.span, entry);
    const series = this.#series;
    if (series === null) return;
    series.countEndpoint(entry, isTimed);
    // Where it was handed over to, it is counted as the server's.
    if (entry.server !== NO_SERVER && !exchange.isHandedOver) this.#countServer(series, exchange);
  }

  #fill(exchange: Exchange, place: Place): JournalEntry {
    const entry = this.#entry;
    entry.wallMs = exchange.startedAtMs + this.#wallOffsetMs;
    entry.durationUs = exchange.durationMs * 1000;
    entry.upstreamUs = exchange.upstreamMs * 1000;
    entry.queueUs = exchange.queueMs * 1000;
    entry.connectUs = exchange.connectMs * 1000;
    entry.gatewayUs = Math.max(0, entry.durationUs - entry.upstreamUs - entry.queueUs - entry.connectUs);
    entry.status = exchange.status;
    entry.outcome = OUTCOMES.indexOf(exchange.outcome);
    entry.endpoint = place.index;
    entry.server = exchange.server;
    entry.replica = exchange.replica;
    entry.sends = exchange.sends;
    entry.isCached = exchange.isCached;
    entry.errorNumber = numberOfError(exchange.errorCode);
    entry.replyBytes = exchange.replyBytes;
    entry.method = exchange.method;
    entry.trace = exchange.trace;
    entry.id = exchange.id;
    entry.body = exchange.body;
    nameIn(exchange.envelope, entry);
    return entry;
  }

  #countServer(series: SeriesWriter, exchange: Exchange): void {
    const marks = this.#marks;
    marks.isTimed = hasLatency(exchange);
    marks.isRpcError = exchange.isRpcError;
    marks.toolStart = toolStart(exchange, this.#entry);
    series.countServer(this.#entry, marks);
  }

  /** Notes that an exchange was handed to the worker that its session lives in. */
  handedOver(endpoint: EndpointSpec): void {
    this.#note(endpoint, COUNTER.handedOver);
  }

  /** Notes that an exchange was served for the worker that has its client, and counts it as its server's. */
  tookOver(exchange: Exchange): void {
    this.#note(exchange.endpoint, COUNTER.takenOver);
    const place = this.#places.get(exchange.endpoint.path);
    if (place === undefined || (exchange.span === null && exchange.server === NO_SERVER)) return;
    exchange.endAt(this.#clock.now());
    const entry = this.#fill(exchange, place);
    if (exchange.span !== null) endSpan(exchange, exchange.span, entry);
    if (this.#series !== null && exchange.server !== NO_SERVER) this.#countServer(this.#series, exchange);
  }

  #note(endpoint: EndpointSpec, counter: CounterPlace): void {
    const place = this.#places.get(endpoint.path);
    if (place !== undefined) this.#counters.bump(place.index, counter);
  }

  #count(exchange: Exchange, index: number, outcome: number): void {
    const counters = this.#counters;
    counters.bump(index, COUNTER.exchanges);
    if (outcome === 0) counters.bump(index, COUNTER.ok);
    else if (outcome === 1) counters.bump(index, COUNTER.refused);
    else if (outcome === 2) counters.bump(index, COUNTER.failed);
    else counters.bump(index, COUNTER.abandoned);
    counters.bump(index, COUNTER.requestBytes, exchange.body.length);
    counters.bump(index, COUNTER.replyBytes, exchange.replyBytes);
  }
}

/** False for event streams: they last for as long as their clients like, which is no latency. */
function hasLatency({ verb, method }: Exchange): boolean {
  return verb === 'POST' && method !== METHOD.listen;
}

/** Where the name of the called tool begins that its server knows it by; -1 when no tool is called. */
function toolStart({ method, envelope, endpoint }: Exchange, { nameStart, nameEnd }: JournalEntry): number {
  if (method !== METHOD.toolsCall || envelope === null || nameEnd === nameStart) return -1;
  const isMarked =
    (endpoint.prefixed || endpoint.view?.names === 'prefixed') &&
    (envelope[ENVELOPE.route] ?? -1) >= 0 &&
    envelope[ENVELOPE.routePlace] === ENVELOPE.name;
  return isMarked ? nameStart + (envelope[ENVELOPE.routeStrip] ?? 0) : nameStart;
}

/** The span of the tool, prompt or resource that a request names, without its quotes. */
function nameIn(envelope: Int32Array | null, entry: JournalEntry): void {
  entry.nameStart = 0;
  entry.nameEnd = 0;
  if (envelope === null) return;
  let place: number = ENVELOPE.name;
  if ((envelope[place] ?? -1) < 0) place = ENVELOPE.uri;
  const start = envelope[place] ?? -1;
  const end = envelope[place + 1] ?? -1;
  if (start < 0 || end - start < 2) return;
  entry.nameStart = start + 1;
  entry.nameEnd = end - 1;
}
