// What /healthz and /readyz answer, state by state.
// Runs src/server/readiness.ts over the memory that all threads share.
import { describe, expect, test } from 'bun:test';
import { forceBreaker, resetBreaker } from '../../../src/memory/breaker-control.ts';
import { createMemory } from '../../../src/memory/memory.ts';
import { clearUpstream } from '../../../src/memory/reclaim.ts';
import { ReplicaCell } from '../../../src/memory/replica-cell.ts';
import { noteAnswer, noteFault } from '../../../src/memory/required.ts';
import { setLife } from '../../../src/memory/workers.ts';
import { Readiness } from '../../../src/server/readiness.ts';
import type { Snapshot } from '../../../src/snapshot.ts';
import type { HttpTarget, ReplicationSpec } from '../../../src/upstream/spec.ts';
import { snapshotOf, targetOf } from '../../fixtures/plane.ts';

const BALANCE = { policy: 'least-busy', hashOn: 'session', slowStartMs: 0 } as const;

/** Two servers: `free`, and `vital`, which is required and has as many places as there are weights. */
function snapshotWith(weights: readonly number[]): Snapshot {
  const url = 'http://127.0.0.1:9/mcp';
  const snapshot = snapshotOf({ servers: { free: { url }, vital: { url } } });
  const [free, vital] = snapshot.servers;
  if (free === undefined || vital === undefined) throw new Error('no servers');
  const replication: ReplicationSpec = { weights, balance: BALANCE, outliers: null, health: null };
  // A URL makes a target over HTTP.
  const replicas = weights.slice(1).map(() => targetOf({ url }) as HttpTarget);
  return { ...snapshot, servers: [free, { ...vital, required: true, replicas, replication }] };
}

function world(weights: readonly number[] = [100]) {
  const shape = { workers: 2, upstreams: 8, endpoints: 3, ringBytes: 4096, journalRecords: 1 };
  const memory = createMemory(shape, 0);
  const readiness = new Readiness(memory, snapshotWith(weights));
  const look = (isDraining = false) => {
    const reply = readiness.reply('/readyz', isDraining);
    // Replies of this file are bytes.
    const body = JSON.parse(new TextDecoder().decode(reply?.body as Uint8Array)) as {
      status: string;
      checks: { check: string; ok: boolean; detail: string }[];
    };
    const failed = body.checks.filter(({ ok }) => !ok).map(({ check, detail }) => `${check}: ${detail}`);
    return [reply?.status, body.status, ...failed];
  };
  return { memory, readiness, look };
}

describe('readiness', () => {
  test('life is another matter, and so is any other path', () => {
    const { readiness } = world();
    expect(readiness.reply('/healthz', true)).toMatchObject({ status: 200 });
    expect([readiness.reply('/', false), readiness.reply('/readyz/', false)]).toEqual([null, null]);
    expect(readiness.reply('/readyz', false)?.headers).toMatchObject({
      'cache-control': 'no-store',
      'retry-after': '1',
    });
  });

  test('a required server has to answer once; its last failure is told by its code, and forgotten', () => {
    const { memory, look } = world();
    expect(look()).toEqual([503, 'unready', 'server vital: it has not answered yet']);
    noteFault(memory, 1, 'GW_UPSTREAM_CONNECT');
    expect(look()[2]).toStartWith('server vital: it has not answered yet (GW_UPSTREAM_CONNECT: Cannot ');
    noteAnswer(memory, 1);
    expect(look()).toEqual([200, 'ok']);
    clearUpstream(memory, 1);
    expect(look()[0]).toBe(503);
  });

  test('its breaker, and what probes find, count from then on; those of others never do', () => {
    const { memory, look } = world();
    noteAnswer(memory, 1);
    forceBreaker(memory, 0, 1_000);
    expect(look()).toEqual([200, 'ok']);
    forceBreaker(memory, 1, 1_000);
    expect(look()).toEqual([503, 'unready', 'server vital: its breaker is open']);
    resetBreaker(memory, 1, 2_000);
    expect(look()).toEqual([200, 'ok']);
    new ReplicaCell(memory, 1, 0).setDown(true, 3_000);
    expect(look()[0]).toBe(503);
  });

  test('one place that may get something is enough', () => {
    // Its cells are 1, and behind those of all servers 2 and 3; the last one gets nothing.
    const { memory, look } = world([100, 50, 0]);
    noteAnswer(memory, 1);
    forceBreaker(memory, 1, 1_000);
    expect(look()).toEqual([200, 'ok']);
    new ReplicaCell(memory, 2, 0).setDown(true, 3_000);
    expect(look()).toEqual([503, 'unready', 'server vital: none of its 2 places is in use']);
  });

  test('all workers have to serve once; one that is started anew leaves the others', () => {
    const { memory, look } = world();
    noteAnswer(memory, 1);
    setLife(memory, 0, { generation: 1, state: 'serving' });
    setLife(memory, 1, { generation: 1, state: 'starting' });
    expect(look()).toEqual([503, 'unready', 'workers: 1 of 2 are starting']);
    setLife(memory, 1, { generation: 1, state: 'serving' });
    expect(look()).toEqual([200, 'ok']);
    setLife(memory, 1, { generation: 2, state: 'starting' });
    expect(look()).toEqual([200, 'ok']);
  });

  test('the end, and another snapshot', () => {
    const { memory, readiness, look } = world();
    noteAnswer(memory, 1);
    expect(look(true)).toEqual([503, 'draining', 'listener: the gateway is ending']);
    readiness.use({ ...snapshotWith([100]), places: { servers: [[4], [5]], endpoints: [0, 1, 2] } });
    expect(look()[0]).toBe(503);
    readiness.use(snapshotOf({ servers: { only: { url: 'http://127.0.0.1:9/mcp' } } }));
    expect(look()).toEqual([200, 'ok']);
    const alone = new Readiness(null, snapshotWith([100]));
    expect(alone.reply('/readyz', false)?.status).toBe(200);
  });
});
