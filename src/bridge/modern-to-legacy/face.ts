// Serves modern clients by a server that speaks the legacy era only.
// Called by worker.ts through bridged.ts. Promises: what face.ts promises.
import { GatewayError } from '../../base/errors.ts';
import type { UpstreamCall, UpstreamRequest, UpstreamSink } from '../../upstream/upstream.ts';
import type { Face, FaceParts } from '../face.ts';

/** Makes the face. */
export function createModernFace(parts: FaceParts): Face {
  return new ModernFace(parts);
}

class ModernFace implements Face {
  readonly #parts: FaceParts;

  constructor(parts: FaceParts) {
    this.#parts = parts;
  }

  get sessions(): number {
    return 0;
  }

  send(_request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    this.#parts.clock.soon(() => sink.onFail(new GatewayError('GW_MCP_VERSION')));
    return { resume: () => undefined, abort: () => undefined };
  }

  sweep(): void {}

  async close(): Promise<void> {}
}
