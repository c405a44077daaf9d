// Makes a programmer fault in a callback visible where a runtime below would swallow it.
// Called by the bun-*.ts and node-*.ts files. Promises: what was thrown becomes an uncaught exception of this thread, after the event.

/** Rethrows in a microtask of its own, so that the thread's handler of uncaught exceptions sees it. */
export function surface(thrown: unknown): void {
  queueMicrotask(() => {
    throw thrown;
  });
}
