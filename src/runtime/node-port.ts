// Lines between threads on Node's MessageChannel.
// Called by node.ts and node-worker.ts only. Promises: as line-ends.ts; a line keeps no thread alive.
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { lineEnds } from './line-ends.ts';

/** Lines on Node. */
export const nodeLines = lineEnds<MessagePort>(
  () => {
    const { port1, port2 } = new MessageChannel();
    return [port1, port2];
  },
  (raw, callback) => {
    raw.removeAllListeners('message');
    raw.on('message', callback);
    raw.unref();
  },
);
