// What all threads know of servers without which the gateway is not ready, and of the places of any server.
// Called by worker/roll-call.ts (one worker writes of each server), server/readiness.ts and gateway/ (read). Promises: plain words, one writer each; a worker that dies
// takes nothing of it along; a server that takes another's place begins anew.
import { errorOfNumber, numberOfError } from '../base/error-numbers.ts';
import type { ErrorCode } from '../base/errors.ts';
import { isClosed } from './breaker-control.ts';
import { POOL_HEAD, poolHeadAt, WORD_BYTES } from './layout.ts';
import type { PlaneMemory } from './memory.ts';
import { ReplicaCell } from './replica-cell.ts';

/** What came of asking a server, by its own cell. */
export interface RollCallReading {
  /** True once it has answered. */
  readonly hasAnswered: boolean;
  /** What went wrong last; null: nothing since it has answered last. */
  readonly lastFault: ErrorCode | null;
}

/** It has answered. */
export function noteAnswer({ words, plan }: PlaneMemory, cell: number): void {
  const at = poolHeadAt(plan, cell) / WORD_BYTES;
  Atomics.store(words, at + POOL_HEAD.lastFault, 0);
  Atomics.store(words, at + POOL_HEAD.hasAnswered, 1);
}

/** It has not. */
export function noteFault({ words, plan }: PlaneMemory, cell: number, code: ErrorCode): void {
  Atomics.store(words, poolHeadAt(plan, cell) / WORD_BYTES + POOL_HEAD.lastFault, numberOfError(code));
}

/** What was noted of it. */
export function readRollCall({ words, plan }: PlaneMemory, cell: number): RollCallReading {
  const at = poolHeadAt(plan, cell) / WORD_BYTES;
  return {
    hasAnswered: Atomics.load(words, at + POOL_HEAD.hasAnswered) === 1,
    lastFault: errorOfNumber(Atomics.load(words, at + POOL_HEAD.lastFault)),
  };
}

/** True for a place of a server whose breaker lets requests pass and that no probe finds down. */
export function isUsable(memory: PlaneMemory, cell: number): boolean {
  return isClosed(memory, cell) && !new ReplicaCell(memory, cell, 0).isDown;
}
