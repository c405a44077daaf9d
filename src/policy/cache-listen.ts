// What a server tells of changes to one partition of its cache: a subscriptions/listen of the gateway's own, open while something is kept that it can speak of.
// Called by cache.ts. Promises: one stream for each partition (two for the moment in which a longer filter takes over, so that nothing is missed); a gap is told; a
// server that cannot tell is asked again only after a while, one that breaks off ever more slowly. Source: MCP 2026-07-28, subscriptions.
import { decode, encode } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import { credentialsOf } from '../mcp/credentials.ts';
import { text } from '../mcp/envelope.ts';
import { META, METHOD } from '../mcp/protocol.ts';
import type { Clock, Random, TimerId } from '../runtime/runtime.ts';
import { ENVELOPE, SCAN, type Scanner } from '../scan/contract.ts';
import type { Upstream, UpstreamRequest } from '../upstream/upstream.ts';
import { ASKS, type CacheKey } from './cache-key.ts';
import { type Granted, ListenStream, NOTHING_GRANTED } from './cache-listen-stream.ts';

/** Who hears what one partition's server tells. */
export interface ListenOwner {
  /** True while something of the partition is kept, and holds, that its server may tell of. */
  isNeeded(partition: string): boolean;
  /** Resources of this partition that are kept, at most so many. */
  urisOf(partition: string, countMax: number): readonly string[];
  /** A number that no other listen at this server bears. */
  nextId(): number;
  /** The server tells of more from now on: what was asked before may have changed unseen. */
  onCovered(listen: CacheListen): void;
  onChanged(method: string, uri: string | null): void;
  /** It tells nothing any more: whatever it told of may have changed. */
  onGap(listen: CacheListen): void;
}

/** What a listen is made of. */
export interface ListenPlan {
  readonly inner: Pick<Upstream, 'send'>;
  readonly scanner: Scanner;
  readonly clock: Clock;
  readonly random: Random;
  readonly owner: ListenOwner;
  readonly partition: string;
}

const RETRY_FIRST_MS = 1_000;
const RETRY_LAST_MS = 30_000;
/** Between two streams with longer and longer filters: resources are mostly read in bursts. */
const WIDEN_MS = 500;

/** Listens for one partition. */
export class CacheListen {
  readonly partition: string;
  /** Counts the gaps: what was asked before one is not guarded behind it. */
  epoch = 0;
  readonly #plan: ListenPlan;
  /** The parts of a request that say who asks. */
  readonly #like: Pick<UpstreamRequest, 'client' | 'headers'>;
  readonly #meta: string;
  readonly #version: string;
  #current: ListenStream | null = null;
  /** Opened beside the current one, to take over from it. */
  #next: ListenStream | null = null;
  #granted: Granted = NOTHING_GRANTED;
  #timer: TimerId = 0;
  #notBeforeMs = 0;
  #retryMs = RETRY_FIRST_MS;
  #isStopped = false;

  /** `like` is a request of the partition. */
  constructor(plan: ListenPlan, like: UpstreamRequest) {
    this.#plan = plan;
    this.partition = plan.partition;
    this.#like = { client: like.client, headers: credentialsOf(like.headers) };
    this.#version = versionOf(like);
    this.#meta = metaOf(like);
  }

  /** True while the server tells of every change to what is asked. */
  covers({ asks, subject }: Pick<CacheKey, 'asks' | 'subject'>): boolean {
    if (this.#current?.isAcknowledged !== true) return false;
    if (asks === ASKS.read) return subject !== null && this.#granted.uris.has(subject);
    return this.#granted.lists.has(asks);
  }

  /** Something of the partition is kept that the server may tell of. */
  need(key: CacheKey): void {
    if (this.#isStopped || this.#timer !== 0) return;
    if (this.#current === null) this.#openSoon(0);
    else if (key.asks === ASKS.read && this.#mayWiden(key.subject)) this.#openSoon(WIDEN_MS);
  }

  /** Nothing is kept any more, or the server is let go of. */
  stop(): void {
    this.#isStopped = true;
    this.#plan.clock.cancel(this.#timer);
    this.#current?.stop();
    this.#next?.stop();
    this.#current = null;
    this.#next = null;
  }

  #mayWiden(uri: string | null): boolean {
    const current = this.#current;
    // It grants none, or no more than it was asked for, or is being asked.
    if (current === null || uri === null || this.#next !== null || !current.isAcknowledged) return false;
    if (current.asked.has(uri) || current.asked.size >= LIMITS.cacheSubscriptionsMax) return false;
    return current.asked.size === 0 || this.#granted.uris.size > 0;
  }

  #openSoon(delayMs: number): void {
    const waitMs = Math.max(delayMs, this.#notBeforeMs - this.#plan.clock.now());
    if (waitMs <= 0) return this.#open();
    this.#timer = this.#plan.clock.after(waitMs, () => {
      this.#timer = 0;
      if (!this.#isStopped && this.#plan.owner.isNeeded(this.partition)) this.#open();
    });
  }

  #open(): void {
    const { inner, scanner, owner } = this.#plan;
    const uris = this.#urisToAsk();
    const stream: ListenStream = new ListenStream(scanner, uris, {
      onAcknowledged: (granted) => this.#acknowledged(stream, granted),
      onChanged: (method, uri) => owner.onChanged(method, uri),
      onClosed: (isRefused) => this.#closed(stream, isRefused),
    });
    if (this.#current === null) this.#current = stream;
    else this.#next = stream;
    stream.start(inner.send(this.#request(uris), stream));
  }

  #acknowledged(stream: ListenStream, granted: Granted): void {
    this.#retryMs = RETRY_FIRST_MS;
    if (stream === this.#next) {
      this.#current?.stop();
      this.#current = stream;
      this.#next = null;
    }
    if (granted.lists.size === 0 && granted.uris.size === 0) {
      // It has nothing to tell: to hold a stream open for that is of no use.
      stream.stop();
      return this.#closed(stream, true);
    }
    this.#granted = granted;
    this.#plan.owner.onCovered(this);
    // What was kept meanwhile is not in its filter.
    if (this.#timer === 0 && this.#urisToAsk().some((uri) => this.#mayWiden(uri))) this.#openSoon(WIDEN_MS);
  }

  /** Resources that a stream is to ask for: never fewer than the one before, since what that told of is believed. */
  #urisToAsk(): readonly string[] {
    const { owner } = this.#plan;
    const kept = owner.urisOf(this.partition, LIMITS.cacheSubscriptionsMax);
    const both = new Set([...(this.#current?.asked ?? []), ...kept]);
    return [...both].slice(0, LIMITS.cacheSubscriptionsMax);
  }

  #closed(stream: ListenStream, isRefused: boolean): void {
    if (this.#isStopped) return;
    const nowMs = this.#plan.clock.now();
    // A server that comes back is not asked by all workers and partitions in the same moment.
    const spread = 0.75 + this.#plan.random.fraction() / 2;
    this.#notBeforeMs = nowMs + (isRefused ? LIMITS.cacheListenCalmMs : this.#retryMs) * spread;
    this.#retryMs = Math.min(RETRY_LAST_MS, this.#retryMs * 2);
    if (stream === this.#next) {
      this.#next = null;
      return;
    }
    if (stream !== this.#current) return;
    const wasTelling = this.#granted !== NOTHING_GRANTED;
    this.#current = this.#next;
    this.#next = null;
    this.#granted = NOTHING_GRANTED;
    if (wasTelling) {
      this.epoch++;
      this.#plan.owner.onGap(this);
    }
    if (this.#current === null && this.#plan.owner.isNeeded(this.partition)) this.#openSoon(0);
  }

  #request(uris: readonly string[]): UpstreamRequest {
    const notifications = {
      toolsListChanged: true,
      promptsListChanged: true,
      resourcesListChanged: true,
      ...(uris.length > 0 ? { resourceSubscriptions: uris } : {}),
    };
    const params = `{"notifications":${JSON.stringify(notifications)},"_meta":${this.#meta}}`;
    const body = encode(
      `{"jsonrpc":"2.0","id":"sluice:cache:${this.#plan.owner.nextId()}","method":"${METHOD.listen}","params":${params}}`,
    );
    const envelope = new Int32Array(ENVELOPE.length);
    const isScanned = this.#plan.scanner.scan(body, 0, body.length, envelope) === SCAN.ok;
    return {
      verb: 'POST',
      era: 'modern',
      body,
      envelope: isScanned ? envelope : null,
      edits: [],
      headers: [
        ...['accept', 'application/json, text/event-stream'],
        ...['mcp-protocol-version', this.#version, 'mcp-method', METHOD.listen],
        ...this.#like.headers,
      ],
      session: null,
      exchangeId: 'cache',
      client: this.#like.client,
      timeoutMs: 0,
      isBackground: true,
    };
  }
}

function versionOf({ body, envelope }: UpstreamRequest): string {
  return (envelope === null ? null : text(body, envelope, ENVELOPE.metaProtocolVersion)) ?? '';
}

/** `_meta` as the partition's clients write it: a bridge keeps sessions by what clients declare, and the listen shall use theirs. */
function metaOf({ body, envelope }: UpstreamRequest): string {
  const members: string[] = [];
  const put = (key: string, place: number): void => {
    const start = envelope?.[place] ?? -1;
    if (start < 0) return;
    members.push(`"${key}":${decode(body, start, envelope?.[place + 1])}`);
  };
  put(META.protocolVersion, ENVELOPE.metaProtocolVersion);
  put(META.clientCapabilities, ENVELOPE.metaClientCapabilities);
  put(META.clientInfo, ENVELOPE.metaClientInfo);
  return `{${members.join()}}`;
}
