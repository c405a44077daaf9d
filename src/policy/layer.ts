// The base of what is put around a server's upstream: whatever is not about a request passes by.
// Called by the policies of this folder. Promises: the contract of upstream.ts, as far as the upstream inside keeps it.
import type {
  ReplyHead,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
  UpstreamStats,
} from '../upstream/upstream.ts';

/** An upstream around an upstream. */
export abstract class Layer implements Upstream {
  readonly name: string;
  readonly transport: Upstream['transport'];
  protected readonly inner: Upstream;

  constructor(inner: Upstream) {
    this.name = inner.name;
    this.transport = inner.transport;
    this.inner = inner;
  }

  abstract send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall;

  stats(): UpstreamStats {
    return this.inner.stats();
  }

  isPiped(): boolean {
    return this.inner.isPiped?.() === true;
  }

  sweep(): void {
    this.inner.sweep?.();
  }

  nudged(): void {
    this.inner.nudged?.();
  }

  releaseShared(): void {
    this.inner.releaseShared?.();
  }

  close(withinMs: number): Promise<void> {
    return this.inner.close(withinMs);
  }
}

/** Headers of a reply that somebody above reads. */
const KEPT_HEADERS: readonly string[] = [
  'content-type',
  'cache-control',
  'www-authenticate',
  'retry-after',
  'allow',
  'x-accel-buffering',
];

/** A head that outlives onHead(). */
export class KeptHead implements ReplyHead {
  readonly status: number;
  readonly media: ReplyHead['media'];
  readonly contentLength: number;
  readonly whole: boolean;
  readonly sessionId: string | null;
  readonly homed: boolean;
  readonly #values: readonly (string | null)[];

  constructor(head: ReplyHead) {
    this.status = head.status;
    this.media = head.media;
    this.contentLength = head.contentLength;
    this.whole = head.whole;
    this.sessionId = head.sessionId;
    this.homed = head.homed === true;
    this.#values = KEPT_HEADERS.map((name) => head.header(name));
  }

  header(name: string): string | null {
    return this.#values[KEPT_HEADERS.indexOf(name)] ?? null;
  }
}
