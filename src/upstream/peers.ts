// What a data worker knows of the gateway's other workers: which one it is itself, and who comes and goes.
// Called by thread.ts (passes on what the main thread says), worker.ts and the link between workers. Promises: peerDown comes before the cells and
// rings of the worker that died are cleared, and before its successor's peerUp.
import type { Port } from '../runtime/runtime.ts';

/** Which of a gateway's data workers this is. */
export interface WorkerPlace {
  /** 0 … count − 1. */
  readonly index: number;
  readonly count: number;
  /** How often this worker was started: 1 = it never died. */
  readonly generation: number;
}

/** A worker that has the gateway to itself. */
export const ONLY_WORKER: WorkerPlace = Object.freeze({ index: 0, count: 1, generation: 1 });

/** Told as the other workers come and go. */
export interface PeerEvents {
  /** Another worker was started: `port` rings its bell and brings its rings. It may not have begun to serve. */
  peerUp(worker: number, generation: number, port: Port): void;
  /** It has died, its state with it; when this returns, this worker touches neither its rings nor what it held. Its next life has a higher generation. */
  peerDown(worker: number, generation: number): void;
}
