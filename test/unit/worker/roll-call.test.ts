// How required servers are asked: until they answer, with longer and longer waits, and again while they are left alone.
// Runs src/worker/roll-call.ts over a scripted server, on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { forceBreaker, resetBreaker } from '../../../src/memory/breaker-control.ts';
import { createMemory } from '../../../src/memory/memory.ts';
import { readRollCall } from '../../../src/memory/required.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { chooseScanner } from '../../../src/scan/scan.ts';
import type { Snapshot } from '../../../src/snapshot.ts';
import { createFakeUpstream, type FakeReply } from '../../../src/upstream/fake.ts';
import { RollCall } from '../../../src/worker/roll-call.ts';
import { snapshotOf } from '../../fixtures/plane.ts';

const ANSWER: FakeReply = {
  headers: { 'content-type': 'application/json' },
  body: '{"jsonrpc":"2.0","id":"sluice:required","error":{"code":-32601,"message":"no tools"}}',
};

function world(script: (index: number) => FakeReply, { workers = 1, worker = 0 } = {}) {
  const sim = createSimRuntime({ seed: 1 });
  const shape = { workers, upstreams: 1, endpoints: 1, ringBytes: 4096, journalRecords: 1 };
  const memory = createMemory(shape, sim.clock.wall());
  const { scanner } = chooseScanner('portable');
  const snapshot = snapshotOf({
    servers: { vital: { url: 'http://127.0.0.1:9/mcp' } },
    spec: { required: true },
  });
  const upstream = createFakeUpstream({ clock: sim.clock, script: (_, index) => script(index) });
  const rollCall = new RollCall({ runtime: sim, scanner, memory, worker });
  const use = (on: Snapshot = snapshot): void =>
    rollCall.use(
      on,
      on.servers.map(() => upstream),
    );
  const read = () => readRollCall(memory, 0);
  return { sim, memory, upstream, snapshot, use, read };
}

describe('a roll call', () => {
  test('asks until there is an answer, whatever it says, and no more then', async () => {
    const failing: readonly FakeReply[] = [{ fail: 'GW_UPSTREAM_CONNECT' }, { status: 503 }, { hang: true }];
    const { sim, upstream, use, read } = world((index) => failing[index] ?? ANSWER);
    use();
    expect([upstream.sent.length, read().hasAnswered]).toEqual([0, false]);
    await sim.advance(10);
    expect([upstream.sent.length, read().lastFault]).toEqual([1, 'GW_UPSTREAM_CONNECT']);
    await sim.advance(LIMITS.requiredRetryFirstMs * 1.25);
    expect([upstream.sent.length, read().lastFault]).toEqual([2, 'GW_UPSTREAM_MEDIA']);
    await sim.advance(2 * LIMITS.requiredRetryFirstMs * 1.25);
    expect(upstream.sent.length).toBe(3);
    await sim.advance(LIMITS.memberTimeoutMs);
    expect(read().lastFault).toBe('GW_UPSTREAM_TIMEOUT');
    await sim.advance(4 * LIMITS.requiredRetryFirstMs * 1.25);
    expect([upstream.sent.length, read()]).toEqual([4, { hasAnswered: true, lastFault: null }]);
    await sim.advance(60_000);
    expect(upstream.sent.length).toBe(4);
    expect(new TextDecoder().decode(upstream.sent[0]?.body)).toContain('"method":"tools/list"');
  });

  test('never waits longer than its bound', async () => {
    const { sim, upstream, use } = world(() => ({ fail: 'GW_UPSTREAM_CONNECT' }));
    use();
    await sim.advance(60_000);
    const before = upstream.sent.length;
    await sim.advance(LIMITS.requiredRetryLastMs * 1.25);
    expect(upstream.sent.length).toBeGreaterThan(before);
  });

  test('asks again while no place of it is in use', async () => {
    const { sim, memory, upstream, use } = world(() => ANSWER);
    use();
    await sim.advance(1_000);
    expect(upstream.sent.length).toBe(1);
    forceBreaker(memory, 0, sim.clock.wall());
    await sim.advance(3 * LIMITS.requiredLookMs);
    const while_ = upstream.sent.length;
    expect(while_).toBeGreaterThan(1);
    resetBreaker(memory, 0, sim.clock.wall());
    await sim.advance(2 * LIMITS.requiredLookMs);
    const after = upstream.sent.length;
    await sim.advance(60_000);
    expect(upstream.sent.length).toBe(after);
  });

  test('is about what the snapshot requires, each by one worker, and lets go of the rest', async () => {
    const { sim, upstream, snapshot, use } = world(() => ({ fail: 'GW_UPSTREAM_CONNECT' }));
    use();
    await sim.advance(1_000);
    const asked = upstream.sent.length;
    use();
    use(snapshotOf({ servers: { vital: { url: 'http://127.0.0.1:9/mcp' } } }));
    await sim.advance(60_000);
    expect(upstream.sent.length).toBe(asked);
    expect(snapshot.servers[0]?.required).toBe(true);

    const workers = [0, 1, 2, 3].map((worker) => world(() => ANSWER, { workers: 4, worker }));
    for (const other of workers) {
      other.use();
      await other.sim.advance(1_000);
    }
    expect(workers.map((other) => other.upstream.sent.length).sort()).toEqual([0, 0, 0, 1]);
  });

  test('ends with what is let go of', async () => {
    const { sim, upstream, use, read } = world(() => ({ fail: 'GW_UPSTREAM_CLOSING' }));
    use();
    await sim.advance(60_000);
    expect([upstream.sent.length, read().lastFault]).toEqual([1, null]);
  });
});
