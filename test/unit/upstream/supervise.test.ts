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

describe('Supervisor', () => {
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
