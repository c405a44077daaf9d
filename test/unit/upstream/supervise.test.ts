// Restart policy: when a process may start again, and what those who wait for it hear.
// Run by bun test. Promises: plays on a clock of its own; no real time passes.
import { describe, expect, test } from 'bun:test';
import { GatewayError } from '../../../src/base/errors.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { BACKOFF_PATIENCE_MS, Backoff, Supervisor } from '../../../src/upstream/supervise.ts';
import { ManualClock, seededRandom } from '../../fixtures/stdio-world.ts';

interface Start {
  opened(child: string): void;
  failed(error: GatewayError): void;
}

function scene(waitersMax = 10) {
  const clock = new ManualClock();
  const backoff = new Backoff(clock, seededRandom(7));
  const starts: Start[] = [];
  const supervisor = new Supervisor<string>(clock, backoff, waitersMax, (opened, failed) => {
    starts.push({ opened, failed });
  });
  const heard: string[] = [];
  const waiter = (name: string) => ({
    ready: (child: string) => heard.push(`${name} ready ${child}`),
    failed: (error: GatewayError) => heard.push(`${name} ${error.code}`),
  });
  return { clock, backoff, starts, supervisor, heard, waiter };
}

describe('Backoff', () => {
  test('first restart at once, then doubling within its jitter up to the last step', () => {
    const clock = new ManualClock();
    const backoff = new Backoff(clock, seededRandom(1));
    expect(backoff.waitMs()).toBe(0);
    backoff.died(0);
    expect(backoff.waitMs()).toBe(0);
    let step: number = LIMITS.childBackoffFirstMs;
    for (let death = 0; death < 40; death++) {
      backoff.died(10);
      const waitMs = backoff.waitMs();
      expect(waitMs).toBeGreaterThanOrEqual(step / 2);
      expect(waitMs).toBeLessThanOrEqual(step);
      step = Math.min(step * 2, LIMITS.childBackoffLastMs);
    }
    expect(step).toBe(LIMITS.childBackoffLastMs);
  });

  test('a process that lived long enough clears it, and so does time', () => {
    const clock = new ManualClock();
    const backoff = new Backoff(clock, seededRandom(1));
    for (let death = 0; death < 5; death++) backoff.died(0);
    expect(backoff.waitMs()).toBeGreaterThan(0);
    backoff.died(LIMITS.childHealthyMs);
    expect(backoff.waitMs()).toBe(0);
    for (let death = 0; death < 5; death++) backoff.died(LIMITS.childHealthyMs - 1);
    clock.advance(LIMITS.childBackoffLastMs);
    expect(backoff.waitMs()).toBe(0);
  });
});

describe('a crash loop', () => {
  const last = { reason: 'it exited with code 3', lines: ['a', 'b'], shown: 'b' };

  test('begins with the deaths that LIMITS says, is logged once, and ends with an answer or a long life', () => {
    for (const recover of [
      (backoff: Backoff) => backoff.succeeded(),
      (backoff: Backoff) => backoff.died(LIMITS.childHealthyMs),
    ]) {
      const clock = new ManualClock();
      const logged: [string, object][] = [];
      const log = {
        error: (message: string, fields: object = {}) => void logged.push([message, fields]),
        info: (message: string, fields: object = {}) => void logged.push([message, fields]),
      };
      const backoff = new Backoff(clock, seededRandom(1), log);
      const states: string[] = [];
      for (let death = 0; death < LIMITS.childCrashLoopDeaths + 3; death++) {
        backoff.died(10, last);
        states.push(backoff.state);
      }
      expect(states).toEqual(['well', 'waiting', 'waiting', 'waiting', ...Array(4).fill('crash-loop')]);
      expect(logged).toHaveLength(1);
      expect(logged[0]?.[1]).toEqual({
        state: 'crash-loop',
        deaths: 5,
        reason: last.reason,
        stderr: last.lines,
      });
      expect(backoff.why(99.5)).toBe(
        'it failed 8 times in a row; it will be tried again in 100 ms; it exited with code 3; its last words: "b"',
      );
      recover(backoff);
      expect([backoff.state, backoff.waitMs()]).toEqual(['well', 0]);
      expect(logged.at(-1)?.[0]).toContain('works again');
      expect(backoff.why(1)).toBe('it will be tried again in 1 ms');
    }
  });

  test('one that answers and dies at once waits before its next start; one that lived does not', () => {
    const backoff = new Backoff(new ManualClock(), seededRandom(1));
    for (let death = 0; death < 3; death++) {
      backoff.died(1);
      backoff.succeeded();
    }
    backoff.died(1);
    expect(backoff.waitMs()).toBeGreaterThan(0);
    backoff.reset();
    backoff.died(1);
    expect(backoff.waitMs()).toBe(0);
  });
});

describe('Supervisor', () => {
  test('one that is let go of is replaced at the next use, without back-off', () => {
    const { starts, supervisor, heard, waiter } = scene();
    supervisor.use(waiter('a'));
    starts[0]?.opened('c1');
    supervisor.letGo();
    expect(supervisor.current).toBeNull();
    supervisor.use(waiter('b'));
    starts[1]?.opened('c2');
    expect(heard).toEqual(['a ready c1', 'b ready c2']);
  });

  test('one start serves all who wait, and those who come later', () => {
    const { starts, supervisor, heard, waiter } = scene();
    supervisor.use(waiter('a'));
    supervisor.use(waiter('b'));
    expect(starts).toHaveLength(1);
    expect(supervisor.waiting).toBe(2);
    starts[0]?.opened('c1');
    supervisor.use(waiter('d'));
    expect(heard).toEqual(['a ready c1', 'b ready c1', 'd ready c1']);
    expect(supervisor.current).toBe('c1');
  });

  test('who withdraws hears nothing', () => {
    const { starts, supervisor, heard, waiter } = scene();
    const left = waiter('a');
    supervisor.use(left);
    supervisor.withdraw(left);
    starts[0]?.opened('c1');
    expect(heard).toEqual([]);
  });

  test('a failed start fails all who wait; the next use tries again', () => {
    const { starts, supervisor, heard, waiter } = scene();
    supervisor.use(waiter('a'));
    supervisor.use(waiter('b'));
    starts[0]?.failed(new GatewayError('GW_UPSTREAM_SPAWN'));
    expect(heard).toEqual(['a GW_UPSTREAM_SPAWN', 'b GW_UPSTREAM_SPAWN']);
    supervisor.use(waiter('c'));
    starts[1]?.opened('c2');
    expect(heard.at(-1)).toBe('c ready c2');
  });

  test('a short back-off is waited for, a long one is not', () => {
    const { clock, starts, supervisor, heard, waiter } = scene();
    supervisor.use(waiter('a'));
    starts[0]?.opened('c1');
    supervisor.died(5);
    supervisor.use(waiter('b'));
    expect(starts).toHaveLength(2);
    starts[1]?.opened('c2');
    supervisor.died(5);
    supervisor.use(waiter('c'));
    supervisor.use(waiter('d'));
    expect(starts).toHaveLength(2);
    clock.advance(LIMITS.childBackoffFirstMs);
    expect(starts).toHaveLength(3);
    starts[2]?.opened('c3');
    expect(heard.slice(2)).toEqual(['c ready c3', 'd ready c3']);
    for (let death = 0; death < 10; death++) supervisor.died(5);
    supervisor.use(waiter('e'));
    expect(heard.at(-1)).toBe('e GW_UPSTREAM_BACKOFF');
    clock.advance(LIMITS.childBackoffLastMs);
    supervisor.use(waiter('f'), BACKOFF_PATIENCE_MS);
    expect(starts).toHaveLength(4);
  });

  test('nothing is started for those who left during the back-off', () => {
    const { clock, starts, supervisor, waiter } = scene();
    supervisor.use(waiter('a'));
    starts[0]?.opened('c1');
    supervisor.died(0);
    supervisor.died(0);
    const left = waiter('b');
    supervisor.use(left);
    supervisor.withdraw(left);
    clock.advance(1_000);
    expect(starts).toHaveLength(1);
    supervisor.use(waiter('c'));
    expect(starts).toHaveLength(2);
  });

  test('waiters are bounded', () => {
    const { supervisor, heard, waiter } = scene(2);
    for (const name of ['a', 'b', 'c']) supervisor.use(waiter(name));
    expect(heard).toEqual(['c GW_UPSTREAM_BUSY']);
  });

  test('close fails who waits and who comes, and swallows a start under way', () => {
    const { starts, supervisor, heard, waiter } = scene();
    supervisor.use(waiter('a'));
    supervisor.close(new GatewayError('GW_UPSTREAM_CLOSING'));
    starts[0]?.opened('late');
    supervisor.use(waiter('b'));
    expect(heard).toEqual(['a GW_UPSTREAM_CLOSING', 'b GW_UPSTREAM_CLOSING']);
    expect(supervisor.current).toBeNull();
  });
});
