// Who is sampled, and how spans are handed on.
// Runs src/observe/trace.ts on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { type SpanBatch, type SpanData, Tracer } from '../../../src/observe/trace.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';

const PARENT = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), state: 'x=1' };

function world(share: number) {
  const sim = createSimRuntime({ seed: 7 });
  const batches: SpanBatch[] = [];
  const { clock, random } = sim;
  return { sim, batches, tracer: new Tracer({ clock, random, share, emit: (batch) => batches.push(batch) }) };
}

function spanOf(name: string): SpanData {
  const ids = { traceId: PARENT.traceId, spanId: PARENT.spanId, parentId: '', state: '' };
  return { ...ids, kind: 'server', name, startMs: 0, endMs: 1, attributes: {}, error: '' };
}

describe('sampling', () => {
  test('a parent decides, whatever the share', () => {
    expect(world(0).tracer.begin({ ...PARENT, isSampled: true })).toMatchObject({
      ...{ traceId: PARENT.traceId, parentId: PARENT.spanId, state: 'x=1' },
    });
    expect(world(1).tracer.begin({ ...PARENT, isSampled: false })).toBeNull();
  });

  test('without a parent a share of them begins a trace of its own', () => {
    const { tracer } = world(0.25);
    const begun = Array.from({ length: 4000 }, () => tracer.begin(null)).filter((span) => span !== null);
    expect(begun.length).toBeGreaterThan(800);
    expect(begun.length).toBeLessThan(1200);
    expect(new Set(begun.map(({ traceId }) => traceId)).size).toBe(begun.length);
    expect(begun[0]).toMatchObject({ parentId: '', traceId: expect.stringMatching(/^[\da-f]{32}$/) });
  });
});

describe('spans', () => {
  test('are handed on together a moment later', async () => {
    const { sim, tracer, batches } = world(1);
    tracer.take(spanOf('a'));
    tracer.take(spanOf('b'));
    expect(batches).toEqual([]);
    await sim.advance(LIMITS.spansFlushMs);
    expect(batches.map(({ spans }) => spans.map(({ name }) => name))).toEqual([['a', 'b']]);
  });

  test('go at once when there are many', () => {
    const { tracer, batches } = world(1);
    for (let i = 0; i < LIMITS.spansBatch; i++) tracer.take(spanOf('a'));
    expect(batches).toHaveLength(1);
  });
});
