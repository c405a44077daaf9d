// The streams of a legacy session whatever the client and the clock do: what goes out is in order and ends once; what is kept is replayed without a gap.
// Runs bridge/legacy-to-modern's reply.ts and events.ts. Promises: the seed is printed on failure.
import { describe, test } from 'bun:test';
import fc from 'fast-check';
import { concat, decode, encode } from '../../src/base/bytes.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { EventBudget, EventLog } from '../../src/bridge/legacy-to-modern/events.ts';
import { LegacyReply } from '../../src/bridge/legacy-to-modern/reply.ts';
import { createSimRuntime } from '../../src/runtime/sim.ts';

const RUNS = { numRuns: 200 };

type Step = 'event' | 'event, the client stops reading' | 'resume' | 'resume, and stop again' | 'turn';
const STEP = fc.constantFrom<Step>(
  'event',
  'event, the client stops reading',
  'resume',
  'resume, and stop again',
  'turn',
);

describe('a reply', () => {
  test('brings every event in order, and one end, however its client reads', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(STEP, { maxLength: 40 }), fc.nat({ max: 40 }), async (steps, releaseAt) => {
        const sim = createSimRuntime({ seed: 1 });
        const seen: Uint8Array[] = [];
        const log: string[] = [];
        let reads = true;
        const sink = {
          onHead: () => void log.push('head'),
          onData: (bytes: Uint8Array) => {
            seen.push(bytes);
            return reads;
          },
          onEnd: () => void log.push('end'),
          onFail: () => void log.push('fail'),
        };
        const reply = new LegacyReply(sink, sim.clock, true);
        let sent = '>';
        reply.stream(encode('>'));
        for (const [i, step] of steps.entries()) {
          if (i === releaseAt) reply.release();
          if (step === 'turn') await sim.advance(1);
          else if (step.startsWith('resume')) {
            reads = step === 'resume';
            reply.resume();
          } else {
            reads = step === 'event';
            reply.event(encode(`${i},`));
            sent += `${i},`;
          }
        }
        if (releaseAt >= steps.length) reply.release();
        reply.end();
        await sim.advance(1);
        reads = true;
        reply.resume();
        const text = decode(concat(seen));
        return text === sent && log.join() === 'head,end';
      }),
      RUNS,
    );
  });
});

describe('the event log', () => {
  const put = fc.record({
    stream: fc.nat({ max: 3 }),
    bytes: fc.oneof(fc.nat({ max: 100 }), fc.nat({ max: LIMITS.resumeBytesMax + 10 })),
  });

  test('replays the end of a stream as it was, or says that it cannot', () => {
    fc.assert(
      fc.property(
        fc.array(put, { maxLength: 60 }),
        fc.nat({ max: 3 }),
        fc.nat({ max: 60 }),
        (puts, at, from) => {
          const budget = new EventBudget(2 * LIMITS.resumeBytesMax);
          const log = new EventLog(budget);
          const all: Uint8Array[][] = [[], log.newStream(), log.newStream(), log.newStream()].map(() => []);
          for (const { stream, bytes } of puts) {
            const event = new Uint8Array(bytes);
            all[stream]?.push(event);
            log.keep(log.next(stream), event, 0);
          }
          const whole = all[at] ?? [];
          const found = log.after({ stream: at, sequence: from });
          const kept = 2 * LIMITS.resumeBytesMax - budget.left;
          log.clear();
          if (kept > LIMITS.resumeBytesMax || budget.left !== 2 * LIMITS.resumeBytesMax) return false;
          if (found === null) return from > whole.length || puts.length > 0;
          const wanted = whole.slice(from);
          return found.length === wanted.length && found.every((event, i) => event === wanted[i]);
        },
      ),
      RUNS,
    );
  });
});
