// The breaker of one replica as the API shows it.
// Called by server-view.ts and breakers.ts. Promises: reads the shared memory and changes nothing.
import type { z } from '@hono/zod-openapi';
import { readBreaker } from '../../memory/breaker-control.ts';
import type { ServerSpec } from '../../upstream/spec.ts';
import type { Governed } from './governed.ts';
import type { Replica } from './schemas.ts';

/** The view; a server that has no breaker shows as one that is closed, unless somebody opened it. */
export function breakerView(
  { memory, runtime }: Governed,
  spec: ServerSpec,
  cell: number,
): z.output<typeof Replica>['breaker'] {
  const windowMs = spec.breaker?.windowMs ?? null;
  return { ...readBreaker(memory, cell, { windowMs, wallMs: runtime.clock.wall() }) };
}
