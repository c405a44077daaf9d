// Signals to whole process groups.
// Called by bun-child.ts, node-child.ts and the starters of threads. Promises: no error when a group is gone; ends politely first, then for good.

/** A signal as kill(2) knows it. */
export type GroupSignal = 'SIGTERM' | 'SIGKILL' | 'SIGINT';

/** What has lost its owner gets this long between TERM and KILL. */
const LEFTOVER_GRACE_MS = 500;

/** Signals a group; false when it is gone. */
export function signalGroup(group: number, signal: GroupSignal): boolean {
  try {
    process.kill(-group, signal);
    return true;
  } catch {
    return false;
  }
}

/** Ends what is left of a group, then calls `done` (at once when nothing was left). */
export function endGroup(group: number, done: () => void): void {
  if (!signalGroup(group, 'SIGTERM')) {
    done();
    return;
  }
  setTimeout(() => {
    signalGroup(group, 'SIGKILL');
    done();
  }, LEFTOVER_GRACE_MS).unref();
}
