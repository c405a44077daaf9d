// The fake upstream's script language: what each field of a reply does, on a clock that the test moves.
// Runs src/upstream/fake.ts alone; the contract suite runs on it too.
import { expect, test } from 'bun:test';
import { decode, encode } from '../../../src/base/bytes.ts';
import { createFakeUpstream, type FakeReply } from '../../../src/upstream/fake.ts';
import { Caught, ManualClock } from '../../fixtures/stdio-world.ts';
import { CALL, type Parts, requestOf } from './http-world.ts';

function play(reply: FakeReply | ((index: number) => FakeReply), parts: Parts = {}) {
  const clock = new ManualClock();
  const upstream = createFakeUpstream({
    clock,
    script: (_, i) => (typeof reply === 'function' ? reply(i) : reply),
  });
  const sink = new Caught();
  const call = upstream.send(requestOf(parts), sink);
  if (sink.head !== null || sink.over) throw new Error('an event came before send() returned');
  return { clock, upstream, sink, call };
}

test('an empty reply is a 200 without a body', () => {
  const { clock, sink } = play({});
  clock.turn();
  expect(sink.head).toMatchObject({ status: 200, media: 'none', contentLength: 0, whole: true });
  expect(sink.ended).toBe(1);
});

test('one piece comes whole, and the request is remembered with its edits applied', () => {
  const edits = [{ start: 0, end: 1, insert: encode('[{') }];
  const { clock, sink, upstream } = play(
    { body: '{"ok":1}', status: 201 },
    { edits, session: 's', headers: ['a', 'b'] },
  );
  clock.turn();
  expect(sink.head).toMatchObject({ status: 201, media: 'json', contentLength: 8, whole: true });
  expect([sink.text, sink.ended]).toEqual(['{"ok":1}', 1]);
  expect(upstream.sent[0]).toMatchObject({
    verb: 'POST',
    session: 's',
    headers: ['a', 'b'],
    done: true,
    aborted: false,
  });
  expect(decode(upstream.sent[0]?.body ?? new Uint8Array(0))).toBe(`[${CALL}`);
});

test('times are the clock’s, and a list comes piece by piece', () => {
  const { clock, sink } = play({ delayMs: 100, gapMs: 10, body: ['a', 'b', 'c'] });
  clock.advance(99);
  expect(sink.head).toBeNull();
  clock.advance(1);
  expect([sink.head?.whole, sink.text]).toEqual([false, '']);
  clock.advance(20);
  expect([sink.text, sink.ended]).toEqual(['ab', 0]);
  clock.advance(10);
  expect([sink.text, sink.ended]).toEqual(['abc', 1]);
});

test('a sink that pauses is waited for', () => {
  const { clock, sink, call } = play({ body: ['a', 'b'] });
  sink.takes = false;
  clock.turn();
  call.resume();
  expect(sink.text).toBe('a');
  clock.turn();
  expect([sink.text, sink.over]).toEqual(['ab', false]);
  call.resume();
  clock.turn();
  expect(sink.ended).toBe(1);
});

test('failures come before the head or behind the body', () => {
  const early = play({ fail: 'GW_UPSTREAM_CONNECT', body: 'x' });
  early.clock.turn();
  expect([early.sink.head, early.sink.failed?.code]).toEqual([null, 'GW_UPSTREAM_CONNECT']);
  const late = play({ fail: 'GW_UPSTREAM_CLOSED', failLate: true, body: ['x'] });
  late.clock.turn();
  expect([late.sink.text, late.sink.failed?.code]).toEqual(['x', 'GW_UPSTREAM_CLOSED']);
  expect(late.upstream.stats()).toMatchObject({ busy: 0, failures: 1 });
});

test('a script that throws fails the call', () => {
  const { clock, sink } = play(() => {
    throw new Error('a fault of the test');
  });
  clock.turn();
  expect(sink.failed?.code).toBe('GW_BASE_INTERNAL');
});

test('what hangs is bounded by the call and ended by abort()', () => {
  const bounded = play({ hang: true }, { timeoutMs: 30 });
  bounded.clock.advance(30);
  expect(bounded.sink.failed?.code).toBe('GW_UPSTREAM_TIMEOUT');
  const aborted = play({ hang: true, body: 'begun' });
  aborted.clock.turn();
  expect(aborted.sink.text).toBe('begun');
  aborted.call.abort();
  expect(aborted.upstream.sent[0]).toMatchObject({ aborted: true, done: true });
  expect(aborted.upstream.stats().busy).toBe(0);
  expect(aborted.clock.pending).toBe(0);
});

test('a call aborted at once never reaches the script', () => {
  const { clock, sink, call, upstream } = play({ body: 'x' });
  call.abort();
  clock.turn();
  expect([sink.head, upstream.sent.length]).toEqual([null, 0]);
});
