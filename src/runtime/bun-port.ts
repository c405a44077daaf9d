// Lines between threads on Bun's MessageChannel.
// Called by bun.ts and bun-worker.ts only. Promises: as line-ends.ts.
import { lineEnds } from './line-ends.ts';

/** Lines on Bun. */
export const bunLines = lineEnds<MessagePort>(
  () => {
    const { port1, port2 } = new MessageChannel();
    return [port1, port2];
  },
  (raw, callback) => {
    raw.onmessage = (event: MessageEvent<unknown>) => callback(event.data);
  },
);
