// What serves requests of the era that a server does not speak: the contract of both directions of the bridge.
// Called by bridged.ts; implemented in modern-to-legacy/ and legacy-to-modern/. Promises: what upstream.ts promises of send(); nothing is
// connected or started before the first request; close() leaves nothing open.
import type { Ledger } from '../observe/ledger.ts';
import type { Log } from '../observe/log.ts';
import type { Clock, Random } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import type { ServerSpec } from '../upstream/spec.ts';
import type { Upstream, UpstreamCall, UpstreamRequest, UpstreamSink } from '../upstream/upstream.ts';

/** How the ids of sessions begin that a face keeps itself: no server's id does. */
export const FACE_SESSION = 'sluice~';

/** Bounds of what a face keeps, all of one worker and server. */
export interface FaceBounds {
  /** Legacy sessions, clients' ones or those at the server. */
  readonly sessionsMax: number;
  readonly sessionIdleMs: number;
}

/** What a face is made of. */
export interface FaceParts {
  readonly spec: ServerSpec;
  /** The server itself, which speaks one era. */
  readonly inner: Upstream;
  readonly scanner: Scanner;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly bounds: FaceBounds;
  /** Hears of the sessions that are kept; left out: nobody looks. */
  readonly ledger?: Ledger | undefined;
}

/** Serves one era's requests by a server of the other. */
export interface Face {
  /** As Upstream.send(). */
  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall;
  /** True for a request that goes on with what this face has begun, whatever the server is found to speak by now; absent: there is no such. */
  isOwn?(request: UpstreamRequest): boolean;
  /** Legacy sessions held. */
  readonly sessions: number;
  /** Called every few seconds: what has been idle for too long ends. */
  sweep(): void;
  /** Ends what never ends by itself, lets the rest finish within `withinMs`, then ends everything. */
  close(withinMs: number): Promise<void>;
}
