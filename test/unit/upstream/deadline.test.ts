// How long an exchange over HTTP may take: events are signs of life, the whole of a call has an end all the same.
// Run by bun test. Promises: the first part plays on a clock that the test moves; the second waits for events of a real server.
import { afterEach, describe, expect, test } from 'bun:test';
import { SILENT } from '../../../src/observe/log.ts';
import { createBunRuntime } from '../../../src/runtime/bun.ts';
import { isEndless } from '../../../src/upstream/deadline.ts';
import { createFetchUpstream } from '../../../src/upstream/fetch.ts';
import { Caught, modern, requestOf } from '../../fixtures/stdio-world.ts';
import { codeOf, HttpWorld, httpSpec, reply } from './http-world.ts';

const STREAM = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
const EVENT = '3\r\n:\n\n\r\n';
const CALL = requestOf(modern(1, 'tools/call', { name: 'x' }));
const LISTEN = requestOf(modern(1, 'subscriptions/listen', { notifications: {} }));
const GET = requestOf(null, { verb: 'GET', era: 'legacy' });
const TOTAL_MS = 10_000;

test('only session streams and subscriptions may last for ever', () => {
  expect([CALL, LISTEN, GET].map(isEndless)).toEqual([false, true, true]);
  expect(isEndless(requestOf([{ jsonrpc: '2.0', id: 1, method: 'subscriptions/listen' }]))).toBe(false);
});

describe('http1', () => {
  function begin(request: typeof CALL) {
    const world = new HttpWorld();
    const sink = new Caught();
    const call = world.upstream.send(request, sink);
    const socket = world.attemptAt(0).accept();
    return { world, sink, call, socket };
  }

  test('progress keeps a call alive beyond firstByteMs and replyIdleMs, until totalMs', () => {
    const { world, sink, socket } = begin(CALL);
    world.clock.advance(3_500);
    socket.say(STREAM + EVENT);
    world.clock.advance(5_500);
    socket.say(EVENT);
    world.clock.advance(TOTAL_MS - 9_100);
    expect(sink.over).toBe(false);
    world.clock.advance(300);
    expect(codeOf(sink)).toBe('GW_UPSTREAM_TIMEOUT');
    expect(sink.failed?.detail).toContain('timeouts.totalMs');
    expect(socket.destroyed).toBe(true);
  });

  test('a reply within totalMs arrives whole, and the connection serves again', () => {
    const { world, sink, socket } = begin(CALL);
    socket.say(STREAM + EVENT);
    world.clock.advance(TOTAL_MS - 200);
    socket.say(`${EVENT}0\r\n\r\n`);
    expect(sink.ended).toBe(1);
    const next = new Caught();
    world.upstream.send(CALL, next);
    socket.say(reply('{}'));
    expect([next.ended, world.attempts.length]).toEqual([1, 1]);
  });

  test.each([
    ['a subscription', LISTEN, false],
    ["a session's stream", GET, false],
    ['a call that waits for its client', CALL, true],
  ])('%s lasts', (_, request, waits) => {
    const { world, sink, call, socket } = begin(request);
    socket.say(STREAM);
    if (waits) call.outlast?.();
    world.clock.advance(24 * 3_600_000);
    expect(sink.over).toBe(false);
    call.abort();
  });

  test('a GET that is answered with JSON is bounded like any other', () => {
    const { world, sink, socket } = begin(GET);
    socket.say('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{');
    world.clock.advance(2_200);
    expect(codeOf(sink)).toBe('GW_UPSTREAM_IDLE');
  });
});

describe('fetch', () => {
  const stops: (() => unknown)[] = [];
  afterEach(async () => {
    await Promise.all(stops.splice(0).map((stop) => stop()));
  });

  /** An upstream whose server begins an event stream and leaves it open. */
  function open() {
    const server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      idleTimeout: 0,
      fetch: () => {
        const body = new ReadableStream({ start: (stream) => stream.enqueue(':\n\n') });
        return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
      },
    });
    const place = { client: 'fetch', host: '127.0.0.1', port: server.port ?? 0 } as const;
    const bounds = { replyIdleTimeoutMs: 50, firstByteTimeoutMs: 5_000, totalTimeoutMs: 300 };
    const spec = httpSpec(place, bounds);
    const upstream = createFetchUpstream({ runtime: createBunRuntime(), spec, log: SILENT });
    stops.push(() => upstream.close(0));
    stops.push(() => server.stop(true));
    return upstream;
  }

  test('a call on an event stream ends with totalMs, and not before', async () => {
    const sink = new Caught();
    open().send(CALL, sink);
    await sink.settled();
    expect(sink.text).toBe(':\n\n');
    expect(codeOf(sink)).toBe('GW_UPSTREAM_TIMEOUT');
    expect(sink.failed?.detail).toContain('timeouts.totalMs');
  });

  test('a subscription, and a call that waits for its client, outlast it', async () => {
    const upstream = open();
    const [listen, waits, bounded] = [new Caught(), new Caught(), new Caught()];
    const calls = [upstream.send(LISTEN, listen), upstream.send(CALL, waits)];
    while (waits.text === '') await Bun.sleep(5);
    calls[1]?.outlast?.();
    upstream.send(CALL, bounded);
    await bounded.settled();
    expect([listen.over, waits.over]).toEqual([false, false]);
    for (const call of calls) call.abort();
  });
});
