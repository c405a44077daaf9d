// A server that clients of both eras can use: what is of its own era goes to it as it came, the rest through a face.
// Called by worker.ts. Promises: what upstream.ts promises; a server of both eras is never bridged.
import type {
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
  UpstreamStats,
} from '../upstream/upstream.ts';
import { EraRouter } from './era.ts';
import type { Face, FaceParts } from './face.ts';

/** What a bridged server is made of. */
export interface BridgedParts extends FaceParts {
  /** The server without what heals clients' own sessions: the face for modern clients sees to those that it has. */
  readonly plain: Upstream;
  /** Makes the face for modern clients of a legacy server; called once, when it is first needed. */
  readonly modernFace: (parts: FaceParts) => Face;
  /** The other way round. */
  readonly legacyFace: (parts: FaceParts) => Face;
}

/** Makes the upstream. */
export function createBridged(parts: BridgedParts): Upstream {
  return new Bridged(parts);
}

class Bridged implements Upstream {
  readonly name: string;
  readonly transport: Upstream['transport'];
  readonly #parts: BridgedParts;
  /** Null when the configuration says which era the server speaks. */
  readonly #router: EraRouter | null;
  #modern: Face | null = null;
  #legacy: Face | null = null;

  constructor(parts: BridgedParts) {
    const { inner, spec } = parts;
    this.name = inner.name;
    this.transport = inner.transport;
    this.#parts = parts;
    const faces = { modern: () => this.#face('modern'), legacy: () => this.#face('legacy') };
    this.#router = spec.era === 'auto' ? new EraRouter(parts, faces) : null;
    parts.ledger?.add({ era: () => (spec.era === 'auto' ? (this.#router?.era ?? 'unknown') : spec.era) });
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    if (this.#router !== null) return this.#router.send(request, sink);
    const { inner, spec } = this.#parts;
    return (spec.era === request.era ? inner : this.#face(request.era)).send(request, sink);
  }

  #face(era: UpstreamRequest['era']): Face {
    const { modernFace, legacyFace, plain, inner } = this.#parts;
    if (era === 'modern') {
      this.#modern ??= modernFace({ ...this.#parts, inner: this.#seenBy(plain) });
      return this.#modern;
    }
    this.#legacy ??= legacyFace({ ...this.#parts, inner: this.#seenBy(inner) });
    return this.#legacy;
  }

  /** The server as a face sees it. */
  #seenBy(way: Upstream): Upstream {
    return this.#router === null ? way : new RoutedInner(way, this.#router);
  }

  sweep(): void {
    this.#router?.sweep();
    this.#modern?.sweep();
    this.#legacy?.sweep();
    this.#parts.inner.sweep?.();
  }

  stats(): UpstreamStats {
    const stats = this.#parts.inner.stats();
    const sessions = (this.#modern?.sessions ?? 0) + (this.#legacy?.sessions ?? 0);
    const waiting = this.#router?.waiting ?? 0;
    if (sessions === 0 && waiting === 0) return stats;
    return { ...stats, sessions: stats.sessions + sessions, waiting: stats.waiting + waiting };
  }

  nudged(): void {
    this.#parts.inner.nudged?.();
  }

  async close(withinMs: number): Promise<void> {
    this.#router?.close();
    await Promise.all([this.#modern?.close(withinMs), this.#legacy?.close(withinMs)]);
    await this.#parts.inner.close(withinMs);
  }
}

/** The server as its faces see it: what they find out about its era counts, too. */
class RoutedInner implements Upstream {
  readonly name: string;
  readonly transport: Upstream['transport'];
  readonly #inner: Upstream;
  readonly #router: EraRouter;

  constructor(inner: Upstream, router: EraRouter) {
    this.name = inner.name;
    this.transport = inner.transport;
    this.#inner = inner;
    this.#router = router;
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    return this.#router.sendForFace(this.#inner, request, sink);
  }

  isPiped(): boolean {
    return this.#inner.isPiped?.() === true;
  }

  stats(): UpstreamStats {
    return this.#inner.stats();
  }

  close(withinMs: number): Promise<void> {
    return this.#inner.close(withinMs);
  }
}
