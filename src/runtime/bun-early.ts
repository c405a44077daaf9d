// Messages to a thread of Bun that come before it can take them: Bun hands them out, and drops what nobody hears, as soon as the thread's module waits for
// something.
// Called by create.ts (before anything is waited for) and bun-worker.ts. Promises: none is lost, none is told twice, their order stays.

let early: MessageEvent<unknown>[] = [];

/** Keeps what comes from now on; nothing to do outside of a thread of Bun. */
export function keepEarly(): void {
  if (typeof Bun === 'undefined' || Bun.isMainThread) return;
  self.onmessage = (event: MessageEvent<unknown>) => {
    early.push(event);
  };
}

/** Hands over what was kept, and whatever comes; not before this returns. */
export function takeEarly(callback: (event: MessageEvent<unknown>) => void): void {
  queueMicrotask(() => {
    self.onmessage = callback;
    const kept = early;
    early = [];
    for (const event of kept) callback(event);
  });
}
