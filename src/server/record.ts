// The last phase of every exchange: what became of it goes into this worker's counters, histograms and journal.
// Called by http.ts and stdio.ts when an exchange is over. Promises: allocates nothing and never fails; one reading of the clock.
import { EMPTY } from '../base/bytes.ts';
import type { Exchange, Outcome } from '../exchange.ts';
import { METHOD } from '../mcp/protocol.ts';
import { type CounterPlace, CounterStripe } from '../memory/counters.ts';
import { type Histogram, sharedHistogram } from '../memory/histogram.ts';
import { type JournalEntry, JournalWriter } from '../memory/journal.ts';
import { COUNTER } from '../memory/layout.ts';
import type { PlaneMemory } from '../memory/memory.ts';
import type { Clock } from '../runtime/runtime.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { EndpointSpec, Snapshot } from '../snapshot.ts';

/** What a recorder writes into, and what it records. */
export interface RecorderOptions {
  readonly memory: PlaneMemory;
  /** Whose stripes these are. */
  readonly worker: number;
  readonly snapshot: Pick<Snapshot, 'endpoints' | 'places'>;
  readonly clock: Clock;
}

/** Outcomes by the numbers that the journal holds. */
export const OUTCOMES: readonly Outcome[] = Object.freeze(['ok', 'refused', 'failed', 'abandoned']);

/** Where an endpoint's figures go. */
interface Place {
  readonly index: number;
  readonly times: Histogram;
}

/** Records the exchanges of one worker. */
export class Recorder {
  readonly #counters: CounterStripe;
  readonly #journal: JournalWriter;
  /** By path: an endpoint keeps its place over reloads. */
  readonly #places = new Map<string, Place>();
  readonly #memory: PlaneMemory;
  readonly #worker: number;
  readonly #clock: Clock;
  /** Added to the monotonic clock it gives the time of day. */
  #wallOffsetMs = 0;
  /** Filled anew for each exchange. */
  readonly #entry: JournalEntry;

  constructor(options: RecorderOptions) {
    const { memory, worker, snapshot, clock } = options;
    this.#memory = memory;
    this.#worker = worker;
    this.#counters = new CounterStripe(memory, worker);
    this.#journal = new JournalWriter(memory, worker);
    this.#clock = clock;
    this.#entry = emptyEntry();
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
    const durationUs = (this.#clock.now() - exchange.startedAtMs) * 1000;
    const outcome = OUTCOMES.indexOf(exchange.outcome);
    this.#count(exchange, place.index, outcome);
    // Event streams last for as long as their clients like: their length is no latency.
    if (exchange.verb === 'POST' && exchange.method !== METHOD.listen) place.times.record(durationUs);
    const entry = this.#entry;
    entry.wallMs = exchange.startedAtMs + this.#wallOffsetMs;
    entry.durationUs = durationUs;
    entry.status = exchange.status;
    entry.outcome = outcome;
    entry.endpoint = place.index;
    entry.method = exchange.method;
    entry.id = exchange.id;
    entry.body = exchange.body;
    nameIn(exchange.envelope, entry);
    this.#journal.write(entry);
  }

  /** Notes that an exchange was handed to the worker that its session lives in. */
  handedOver(endpoint: EndpointSpec): void {
    this.#note(endpoint, COUNTER.handedOver);
  }

  /** Notes that an exchange was served for the worker that has its client. */
  tookOver(endpoint: EndpointSpec): void {
    this.#note(endpoint, COUNTER.takenOver);
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

function emptyEntry(): JournalEntry {
  return {
    wallMs: 0,
    durationUs: 0,
    status: 0,
    outcome: 0,
    endpoint: 0,
    method: '',
    id: '',
    body: EMPTY,
    nameStart: 0,
    nameEnd: 0,
  };
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
