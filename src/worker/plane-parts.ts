// What a data plane is made of: the world, its snapshot, its place among the workers, and what they share.
// Called by worker.ts and by whoever makes one: thread.ts and gateway.ts. Promises: nothing but types.
import type { PlaneMemory } from '../memory/memory.ts';
import type { Log } from '../observe/log.ts';
import type { Tracer } from '../observe/trace.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import type { AccessLog } from '../server/access-log.ts';
import type { KeyRing, Snapshot } from '../snapshot.ts';
import type { WorkerPlace } from '../upstream/peers.ts';

/** What a data plane is made of. */
export interface DataPlaneOptions {
  readonly runtime: Runtime;
  readonly scanner: Scanner;
  readonly snapshot: Snapshot;
  readonly log: Log;
  /** Left out: exchanges get no lines in the log. */
  readonly access?: AccessLog;
  /** Left out: nothing is traced. */
  readonly tracer?: Tracer;
  /** Left out: the gateway's only worker. */
  readonly place?: WorkerPlace;
  /** What session ids are sealed with; left out: a key of this plane's own. */
  readonly keys?: KeyRing;
  /** What all workers share; left out: nothing is shared. */
  readonly memory?: PlaneMemory;
  /** The route table that control publishes; left out: one made of the snapshot. */
  readonly routes?: SharedArrayBuffer;
}
