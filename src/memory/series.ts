// One worker's figures of its servers, tools and endpoints, for /metrics: counts and coarse histograms of where the time went.
// Called by server/record.ts, once an exchange. Promises: allocates nothing but when it meets a tool for the first time; one writer, so that plain additions do;
// tools beyond the room there is are counted with their server alone.
import { assert } from '../base/assert.ts';
import type { JournalEntry } from './journal.ts';
import type { PlaneMemory } from './memory.ts';
import {
  COUNTED_METHODS,
  ENDPOINT_SERIES,
  endpointSeriesAt,
  errorsAt,
  exchangesPlace,
  PHASE,
  phasePlace,
  SERVER_SERIES,
  serverSeriesAt,
  TIMES,
  TOOL_KEY,
  TOOL_PROBES,
  TOOL_SERIES,
  TOOL_STATE,
  toolSeriesAt,
} from './series-layout.ts';

const METHODS: ReadonlyMap<string, number> = new Map(COUNTED_METHODS.map((method, at) => [method, at]));
const NOTIFICATION = COUNTED_METHODS.indexOf('notification');
const OTHER = COUNTED_METHODS.length - 1;
const LAST_BUCKET = TIMES.buckets - 1;
/** clz32 of the first bound is 31 − 5; one less is one bucket more. */
const FIRST_ZEROS = 32 - TIMES.firstExponent;
/** Above all bounds, and still a 32-bit number. */
const US_MAX = 2 ** 30;
const NO_PLACE = -1;
/** FNV-1a. */
const HASH_START = 0x811c9dc5;
const HASH_PRIME = 0x01000193;

/** Where a method's exchanges are counted. */
function methodNumber(method: string): number {
  const known = METHODS.get(method);
  if (known !== undefined) return known;
  return method.startsWith('notifications/') ? NOTIFICATION : OTHER;
}

/** What is recorded besides what the journal has. */
export interface SeriesMarks {
  /** Where the tool's own name begins in the body; below 0: it is no call of a tool. */
  toolStart: number;
  /** The server answered with a JSON-RPC error. */
  isRpcError: boolean;
  /** The length of an event stream is no latency. */
  isTimed: boolean;
}

/** The stripe of one worker. Only that worker may write it. */
export class SeriesWriter {
  private readonly memory: PlaneMemory;
  private readonly doubles: Float64Array;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly worker: number;
  private readonly tools: number;

  constructor(memory: PlaneMemory, worker: number) {
    assert(worker >= 0 && worker < memory.plan.workers, 'a stripe belongs to a worker of the plan');
    this.memory = memory;
    this.doubles = memory.doubles;
    this.words = memory.words;
    this.bytes = new Uint8Array(memory.buffer);
    this.worker = worker;
    this.tools = memory.plan.tools ?? 0;
  }

  /** Counts an exchange as its endpoint's. */
  countEndpoint(entry: JournalEntry, isTimed: boolean): void {
    const { plan } = this.memory;
    if (entry.errorNumber > 0) this.add(errorsAt(plan, this.worker) + entry.errorNumber, 1);
    if (isTimed)
      this.addTimes(endpointSeriesAt(plan, this.worker, entry.endpoint) + ENDPOINT_SERIES.times, entry);
  }

  /** Counts an exchange as its server's, and as its tool's; it must have gone to one. */
  countServer(entry: JournalEntry, marks: SeriesMarks): void {
    const { doubles } = this;
    const at = serverSeriesAt(this.memory.plan, this.worker, entry.server);
    this.add(at + exchangesPlace(methodNumber(entry.method), entry.outcome), 1);
    this.add(at + SERVER_SERIES.requestBytes, entry.body.length);
    this.add(at + SERVER_SERIES.replyBytes, entry.replyBytes);
    if (entry.sends > 1) this.add(at + SERVER_SERIES.repeats, entry.sends - 1);
    if (entry.isCached) this.add(at + SERVER_SERIES.cached, 1);
    if (marks.isRpcError) this.add(at + SERVER_SERIES.rpcErrors, 1);
    if (marks.isTimed) this.addTimes(at + SERVER_SERIES.times, entry);
    if (marks.toolStart < 0 || this.tools === 0) return;
    const tool = this.toolAt(entry, marks);
    if (tool === NO_PLACE) return;
    const count = tool + TOOL_SERIES.exchanges + entry.outcome;
    doubles[count] = (doubles[count] ?? 0) + 1;
    if (marks.isTimed) this.addTimes(tool + TOOL_SERIES.times, entry);
  }

  private add(at: number, by: number): void {
    this.doubles[at] = (this.doubles[at] ?? 0) + by;
  }

  private addTimes(
    at: number,
    { durationUs, gatewayUs, queueUs, connectUs, upstreamUs }: JournalEntry,
  ): void {
    this.addTime(at + phasePlace(PHASE.total), durationUs);
    this.addTime(at + phasePlace(PHASE.gateway), gatewayUs);
    if (upstreamUs > 0) this.addTime(at + phasePlace(PHASE.upstream), upstreamUs);
    if (queueUs > 0) this.addTime(at + phasePlace(PHASE.queue), queueUs);
    if (connectUs > 0) this.addTime(at + phasePlace(PHASE.connect), connectUs);
  }

  private addTime(at: number, us: number): void {
    const { doubles } = this;
    const zeros = Math.clz32(Math.min(us, US_MAX));
    const bucket = at + Math.min(LAST_BUCKET, Math.max(0, FIRST_ZEROS - zeros));
    const sum = at + TIMES.sum;
    doubles[bucket] = (doubles[bucket] ?? 0) + 1;
    doubles[sum] = (doubles[sum] ?? 0) + us;
  }

  // ── tools ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Float64 index of the tool's place, which is made when it answered for the first time; NO_PLACE when there is no room, or too long a name. */
  private toolAt(entry: JournalEntry, marks: SeriesMarks): number {
    const length = entry.nameEnd - marks.toolStart;
    if (length <= 0 || length > TOOL_KEY.nameBytesMax) return NO_PLACE;
    const hash = hashOf(entry, marks.toolStart);
    let room = NO_PLACE;
    for (let probe = 0; probe < TOOL_PROBES; probe++) {
      const at = toolSeriesAt(this.memory.plan, this.worker, (hash + probe) & (this.tools - 1));
      const state = this.words[at * 2 + TOOL_KEY.state] ?? 0;
      if (state === TOOL_STATE.taken) {
        if (this.isAt(at, entry, marks.toolStart, hash)) return at;
      } else if (room === NO_PLACE) room = at;
      if (state === TOOL_STATE.empty) break;
    }
    // A name that no server has vouched for is anybody's invention: there is no end to those.
    const isVouched = entry.outcome === 0 && !marks.isRpcError;
    if (room === NO_PLACE || !isVouched) return NO_PLACE;
    this.take(room, entry, marks.toolStart, hash);
    return room;
  }

  private isAt(at: number, entry: JournalEntry, start: number, hash: number): boolean {
    const { words, bytes } = this;
    const length = entry.nameEnd - start;
    const key = at * 2;
    if (words[key + TOOL_KEY.hash] !== hash || words[key + TOOL_KEY.cell] !== entry.server) return false;
    if (words[key + TOOL_KEY.nameBytes] !== length) return false;
    const nameAt = at * 8 + TOOL_KEY.nameAtBytes;
    for (let n = 0; n < length; n++) if (bytes[nameAt + n] !== entry.body[start + n]) return false;
    return true;
  }

  /** The state is told last: who reads while this writes sees no half a name. */
  private take(at: number, entry: JournalEntry, start: number, hash: number): void {
    const { words, bytes } = this;
    const key = at * 2;
    words[key + TOOL_KEY.cell] = entry.server;
    words[key + TOOL_KEY.hash] = hash;
    words[key + TOOL_KEY.nameBytes] = entry.nameEnd - start;
    bytes.set(entry.body.subarray(start, entry.nameEnd), at * 8 + TOOL_KEY.nameAtBytes);
    Atomics.store(words, key + TOOL_KEY.state, TOOL_STATE.taken);
  }
}

/** Of a tool's name and its server. */
function hashOf({ body, nameEnd, server }: JournalEntry, start: number): number {
  let hash = HASH_START ^ server;
  for (let at = start; at < nameEnd; at++) hash = Math.imul(hash ^ (body[at] ?? 0), HASH_PRIME);
  return hash;
}
