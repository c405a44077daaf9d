// Sends spans to an OpenTelemetry collector: JSON over OTLP/HTTP (https://opentelemetry.io/docs/specs/otlp/).
// Called by cli/ (serve, run, stdio) where traces are configured. Promises: never in the way of an exchange, since it runs in the main thread; what waits is bounded and
// what is not kept is counted; a collector that is away is told of once a minute, and spans are tried again for as long as there is room for them.
import type { GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Log } from '../../observe/log.ts';
import type { SpanBatch, SpanData } from '../../observe/trace.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import { NO_CLIENT, type ReplyHead, type Upstream, type UpstreamSink } from '../../upstream/upstream.ts';
import { openOwnClient } from '../own-client.ts';

/** What an exporter takes. */
export interface ExporterParts {
  readonly runtime: Runtime;
  readonly log: Log;
  /** Where the collector takes traces. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** `service.name` and `service.version`. */
  readonly service: string;
  readonly version: string;
}

const WARN_EVERY_MS = 60_000;
const RETRY_MS = 1000;
const RETRY_MAX_MS = 30_000;
const SENT_AT_ONCE_MAX = 1;
/** Statuses at which the specification wants the same request again, later. */
const AGAIN: readonly number[] = [429, 502, 503, 504];

/** What became of one request to the collector: it was taken, it will never be, or it may be later. */
type Fate = 'taken' | 'refused' | 'later';

/** Sends what workers hand it. */
export class SpanExporter {
  readonly #parts: ExporterParts;
  readonly #upstream: Upstream;
  #queue: SpanData[] = [];
  #dropped = 0;
  #work: Promise<void> | null = null;
  #isClosed = false;
  #warnedAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: ExporterParts) {
    this.#parts = parts;
    const { runtime, log, url, headers } = parts;
    this.#upstream = openOwnClient({
      ...{ runtime, log, name: 'traces', url: new URL(url), verify: true },
      headers: Object.entries(headers).flatMap(([name, value]) => [name.toLowerCase(), value]),
      ...{ connectionsMax: SENT_AT_ONCE_MAX, queueDepthMax: 1, timeoutMs: LIMITS.spansSendMs },
    });
  }

  /** Takes a worker's spans. */
  readonly take = ({ spans, dropped }: SpanBatch): void => {
    const room = Math.max(0, LIMITS.spansQueuedMax - this.#queue.length);
    this.#queue.push(...spans.slice(0, room));
    this.#dropped += dropped + Math.max(0, spans.length - room);
    this.#work ??= this.#send();
  };

  /** Sends what waits, for so long at most, and ends. */
  async close(withinMs: number): Promise<void> {
    this.#isClosed = true;
    const { clock } = this.#parts.runtime;
    const late = new Promise<void>((resolve) => clock.after(withinMs, resolve));
    await Promise.race([this.#work ?? Promise.resolve(), late]);
    await this.#upstream.close(0);
  }

  async #send(): Promise<void> {
    let waitMs = RETRY_MS;
    while (this.#queue.length > 0) {
      const spans = this.#queue.slice(0, LIMITS.spansSent);
      const fate = await this.#post(spans);
      if (fate !== 'later') {
        this.#queue.splice(0, spans.length);
        waitMs = RETRY_MS;
        continue;
      }
      if (this.#isClosed) break;
      await this.#pause(waitMs);
      waitMs = Math.min(2 * waitMs, RETRY_MAX_MS);
    }
    this.#work = null;
  }

  async #post(spans: readonly SpanData[]): Promise<Fate> {
    const { version, service } = this.#parts;
    const { bodyOf } = await import('./otlp.ts');
    const reply = await this.#ask(bodyOf(spans, { service, version }));
    if (typeof reply !== 'number') {
      this.#warn(reply.message);
      return 'later';
    }
    if (reply >= 200 && reply < 300) return 'taken';
    this.#warn(`it answered ${reply}`);
    return AGAIN.includes(reply) ? 'later' : 'refused';
  }

  #ask(body: Uint8Array): Promise<number | GatewayError> {
    return new Promise((resolve) => {
      this.#upstream.send(
        {
          ...{ verb: 'POST', era: 'modern', body, envelope: null, edits: [], session: null },
          headers: ['accept', 'application/json'],
          exchangeId: 'traces',
          client: NO_CLIENT,
          timeoutMs: LIMITS.spansSendMs,
        },
        new StatusSink(resolve),
      );
    });
  }

  #warn(reason: string): void {
    const nowMs = this.#parts.runtime.clock.now();
    if (nowMs - this.#warnedAtMs < WARN_EVERY_MS) return;
    this.#warnedAtMs = nowMs;
    const remedy = 'see that the collector of tracing.url listens and takes OTLP over HTTP';
    this.#parts.log.warn('spans could not be sent', {
      reason,
      waiting: this.#queue.length,
      dropped: this.#dropped,
      remedy,
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#parts.runtime.clock.after(ms, resolve));
  }
}

/** Hears no more of a reply than its status. */
class StatusSink implements UpstreamSink {
  readonly #resolve: (reply: number | GatewayError) => void;
  #status = 0;

  constructor(resolve: (reply: number | GatewayError) => void) {
    this.#resolve = resolve;
  }

  onHead(head: ReplyHead): void {
    this.#status = head.status;
  }

  onData(): boolean {
    return true;
  }

  onEnd(): void {
    this.#resolve(this.#status);
  }

  onFail(error: GatewayError): void {
    this.#resolve(error);
  }
}
