// One worker of the link's stress test: serves echoes, and asks the others for echoes until it has had enough.
// Started as a thread by peer-threads.test.ts. Promises: every reply is compared byte by byte with what was asked; reports once.
import { attachMemory, type SharedMemory } from '../../../src/memory/memory.ts';
import { SILENT } from '../../../src/observe/log.ts';
import { createBunRuntime } from '../../../src/runtime/bun.ts';
import { PeerLink } from '../../../src/upstream/peer-link.ts';

/** What a worker is told; the ports of the others come with it, in the order of `others`. */
export interface StressOrder {
  readonly memory: SharedMemory;
  readonly index: number;
  readonly count: number;
  readonly others: readonly number[];
  readonly calls: number;
  readonly atOnce: number;
  /** Every how many calls the body is large. */
  readonly largeEach: number;
}

/** What it reports: calls that ended as they should, and what did not. */
export interface StressReport {
  readonly right: number;
  readonly wrong: readonly string[];
  readonly frames: number;
  readonly wakes: number;
}

const runtime = createBunRuntime();

function bodyOf(call: number, index: number, largeEach: number): Uint8Array {
  const length = call % largeEach === 0 ? 20_000 + (call % 97) * 331 : (call * 7 + index) % 700;
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 13 + call + index * 101) & 0xff;
  return bytes;
}

function run(order: StressOrder, link: PeerLink, report: (message: StressReport) => void): void {
  const { index, others, calls, atOnce, largeEach } = order;
  const wrong: string[] = [];
  let right = 0;
  let started = 0;
  const next = (): void => {
    if (started === calls) {
      if (right + wrong.length === calls) report({ right, wrong: wrong.slice(0, 5), ...link.tally });
      return;
    }
    const call = started++;
    const to = others[call % others.length] ?? 0;
    const body = bodyOf(call, index, largeEach);
    const pieces: Uint8Array[] = [];
    const pauses = call % 11 === 0;
    const held = link.send(to, { subject: 'exchange', generation: 1, texts: [`${call}`] }, body, {
      onHead: () => undefined,
      onData: (bytes) => {
        pieces.push(bytes);
        if (pauses) setTimeout(() => held.resume(), 0);
        return !pauses;
      },
      onEnd: () => {
        if (Buffer.compare(Buffer.concat(pieces), body) === 0) right++;
        else wrong.push(`call ${call} came back different`);
        next();
      },
      onFail: (error) => {
        wrong.push(`call ${call} failed: ${error.message}`);
        next();
      },
    });
  };
  for (let i = 0; i < atOnce; i++) next();
}

const { scope } = runtime;
scope?.onMessage((message, ports) => {
  // Only the test posts here.
  const order = message as StressOrder;
  const { index, count, others } = order;
  const link = new PeerLink({
    memory: attachMemory(order.memory),
    place: { index, count, generation: 1 },
    clock: runtime.clock,
    log: SILENT,
    bodyBytesMax: 1024 * 1024,
    onNudge: () => undefined,
  });
  link.serve('exchange', (_from, { texts }, body, reply) => {
    const contentLength = body.length;
    const whole = Number(texts[0]) % 3 !== 0;
    reply.head({ status: 200, media: 'json', contentLength, whole, sessionId: null, headers: {} });
    if (body.length > 0) reply.data(body);
    reply.end();
    return { resume: () => undefined, abort: () => undefined };
  });
  others.forEach((other, at) => {
    const port = ports[at];
    if (port !== undefined) link.peerUp(other, 1, port);
  });
  run(order, link, (report) => scope.post(report));
});
