// A server that clients of both eras can use: what is of its own era goes to it as it came, the rest through a face.
// Called by worker.ts. Promises: what upstream.ts promises; a server of both eras is never bridged.
import type {
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
  UpstreamStats,
} from '../upstream/upstream.ts';
import type { Face, FaceParts } from './face.ts';

/** What a bridged server is made of. */
export interface BridgedParts extends FaceParts {
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
  #modern: Face | null = null;
  #legacy: Face | null = null;

  constructor(parts: BridgedParts) {
    this.name = parts.inner.name;
    this.transport = parts.inner.transport;
    this.#parts = parts;
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const { era } = this.#parts.spec;
    if (era === 'auto' || era === request.era) return this.#parts.inner.send(request, sink);
    return this.#face(request.era).send(request, sink);
  }

  #face(era: UpstreamRequest['era']): Face {
    if (era === 'modern') {
      this.#modern ??= this.#parts.modernFace(this.#parts);
      return this.#modern;
    }
    this.#legacy ??= this.#parts.legacyFace(this.#parts);
    return this.#legacy;
  }

  sweep(): void {
    this.#modern?.sweep();
    this.#legacy?.sweep();
    this.#parts.inner.sweep?.();
  }

  stats(): UpstreamStats {
    const stats = this.#parts.inner.stats();
    const sessions = (this.#modern?.sessions ?? 0) + (this.#legacy?.sessions ?? 0);
    return sessions === 0 ? stats : { ...stats, sessions: stats.sessions + sessions };
  }

  nudged(): void {
    this.#parts.inner.nudged?.();
  }

  async close(withinMs: number): Promise<void> {
    await Promise.all([this.#modern?.close(withinMs), this.#legacy?.close(withinMs)]);
    await this.#parts.inner.close(withinMs);
  }
}
