// The request that goes nowhere: what benches hand to upstreams and pools whose sending is not measured.
// Called by cells.ts and pool.ts. Promises: one object for all rounds.

import { EMPTY } from '../../src/base/bytes.ts';
import type { UpstreamRequest } from '../../src/upstream/upstream.ts';
import { NO_CLIENT } from '../../src/upstream/upstream.ts';

/** A POST without a body. */
export const REQUEST: UpstreamRequest = {
  verb: 'POST',
  era: 'modern',
  body: EMPTY,
  envelope: null,
  edits: [],
  headers: [],
  session: null,
  exchangeId: '',
  client: NO_CLIENT,
  timeoutMs: 0,
};
