// Where copies of a server's requests go: an upstream of its own, with few connections and no queue.
// Called by worker/members.ts for servers with a mirror. Promises: it shares nothing with the server's own upstream; what finds it busy fails at once.
import { soloCell } from '../memory/cells.ts';
import { createFetchUpstream } from './fetch.ts';
import { createHttpUpstream, type HttpUpstreamOptions } from './http.ts';
import type { MirrorSettings } from './spec.ts';
import type { Upstream } from './upstream.ts';

/** Makes it; nothing is connected before the first copy. */
export function createShadow(
  { runtime, scanner, spec, log }: Pick<HttpUpstreamOptions, 'runtime' | 'scanner' | 'spec' | 'log'>,
  { target }: MirrorSettings,
): Upstream {
  const create = target.client === 'fetch' ? createFetchUpstream : createHttpUpstream;
  return create({ runtime, scanner, spec: { ...spec, target, queueDepthMax: 0 }, log, cell: soloCell() });
}
