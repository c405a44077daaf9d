// The other worker of the hand-over bench: a link in a thread of its own, which answers every call with 200 bytes.
// Called as a Worker by handover.ts. Promises: the link is the real one; nothing else runs in this thread.
import { attachMemory, type SharedMemory } from '../../src/memory/memory.ts';
import { SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { PeerLink } from '../../src/upstream/peer-link.ts';

/** The line to the asking thread comes with it. */
export interface HandoverBenchOrder {
  readonly memory: SharedMemory;
}

const REPLY = new Uint8Array(200).fill(65);
const CALL = { resume: () => undefined, abort: () => undefined };

const runtime = createBunRuntime();
const { scope } = runtime;
scope?.onMessage((message, [port]) => {
  if (port === undefined) return;
  // Only the bench posts here.
  const { memory } = message as HandoverBenchOrder;
  const link = new PeerLink({
    memory: attachMemory(memory),
    place: { index: 1, count: 2, generation: 1 },
    clock: runtime.clock,
    log: SILENT,
    bodyBytesMax: 1024 * 1024,
    onNudge: () => undefined,
  });
  link.serve('exchange', (_from, _request, _body, reply) => {
    reply.head({
      status: 200,
      media: 'json',
      contentLength: REPLY.length,
      whole: true,
      sessionId: null,
      headers: { 'content-type': 'application/json' },
    });
    reply.data(REPLY);
    reply.end();
    return CALL;
  });
  link.peerUp(0, 1, port);
  scope.post('ready');
});
