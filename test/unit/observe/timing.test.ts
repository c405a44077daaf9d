// The timing of one exchange: whatever its way left for marks, its four times come to the whole.
// Run by bun test. Promises: pure; the clock is whatever number the test says.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { ExchangeTiming } from '../../../src/observe/timing.ts';

function phases(timing: ExchangeTiming): readonly number[] {
  return [timing.gatewayMs, timing.queueMs, timing.connectMs, timing.upstreamMs];
}

describe('ExchangeTiming', () => {
  test('a whole reply: what comes after its head is the gateway’s', () => {
    const timing = new ExchangeTiming(100);
    timing.sent(101);
    timing.replied(111, true);
    timing.endAt(113);
    expect(phases(timing)).toEqual([3, 0, 0, 10]);
  });

  test('a stream is the server’s until it ends', () => {
    const timing = new ExchangeTiming(100);
    timing.sent(101);
    timing.replied(111, false);
    timing.endAt(151);
    expect(phases(timing)).toEqual([1, 0, 0, 50]);
  });

  test('waiting for a connection and making one are told apart from the rest', () => {
    const timing = new ExchangeTiming(100);
    timing.queued(5);
    timing.connected(3);
    timing.sent(109);
    timing.replied(119, true);
    timing.endAt(120);
    expect(phases(timing)).toEqual([2, 5, 3, 10]);
  });

  test('what was sent again is the server’s doing from the first time on, but for what it waited for in between', () => {
    const timing = new ExchangeTiming(100);
    timing.sent(101);
    timing.queued(4);
    timing.connected(2);
    timing.sent(111);
    timing.replied(121, true);
    timing.endAt(122);
    expect(timing.sends).toBe(2);
    expect(phases(timing)).toEqual([2, 4, 2, 14]);
  });

  test('what went to no server is the gateway’s alone', () => {
    const timing = new ExchangeTiming(100);
    timing.endAt(104);
    expect(phases(timing)).toEqual([4, 0, 0, 0]);
  });

  test('no reply at all is the server’s as well', () => {
    const timing = new ExchangeTiming(100);
    timing.sent(102);
    timing.endAt(110);
    expect(phases(timing)).toEqual([2, 0, 0, 8]);
  });

  test('in any order of marks no time is negative, and they come to the whole when they are true', () => {
    const mark = fc.record({
      kind: fc.constantFrom('sent', 'queued', 'connected', 'replied', 'idle'),
      ms: fc.integer({ min: 0, max: 50 }),
    });
    fc.assert(
      fc.property(fc.array(mark, { maxLength: 12 }), fc.boolean(), (marks, isWhole) => {
        const timing = new ExchangeTiming(1000);
        let nowMs = 1000;
        for (const { kind, ms } of marks) {
          nowMs += ms;
          if (kind === 'sent') timing.sent(nowMs);
          else if (kind === 'queued') timing.queued(ms);
          else if (kind === 'connected') timing.connected(ms);
        }
        if (timing.sends > 0) timing.replied(nowMs, isWhole);
        timing.endAt(nowMs + 1);
        const own = phases(timing);
        expect(own.every((ms) => ms >= 0)).toBe(true);
        expect(own.reduce((sum, ms) => sum + ms, 0)).toBeCloseTo(timing.durationMs, 6);
      }),
      { numRuns: 300 },
    );
  });
});
