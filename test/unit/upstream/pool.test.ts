// Many calls and few connections: bounds, order, ageing, zombies, closing; and a random walk that must always balance.
// Runs src/upstream/pool.ts through http.ts over played sockets and a clock that the test moves.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { LIMITS } from '../../../src/base/limits.ts';
import { PoolCell } from '../../../src/memory/cells.ts';
import { createMemory } from '../../../src/memory/memory.ts';
import { codeOf, HttpWorld, httpSpec, reply } from './http-world.ts';

const GONE = 'total 0 busy 0 idle 0 waiting 0';

describe('bounds and order', () => {
  test('connections up to the bound, then a queue up to its bound, then busy', () => {
    const world = new HttpWorld();
    const calls = Array.from({ length: 6 }, () => world.send());
    expect(world.attempts).toHaveLength(2);
    expect(world.load).toBe('total 2 busy 2 idle 0 waiting 3');
    world.clock.turn();
    expect(codeOf(calls[5]?.sink ?? { failed: null })).toBe('GW_UPSTREAM_BUSY');
    expect(calls[5]?.sink.failed?.row.retry).toBe('safe');
    const socket = world.attemptAt(0).accept();
    for (let i = 0; i < 4; i++) socket.say(reply(`${i}`));
    // First come, first served: the second call still waits for its own connection.
    expect(calls.map(({ sink }) => sink.text)).toEqual(['0', '', '1', '2', '3', '']);
    world.attemptAt(1).accept().say(reply('9'));
    expect(calls[1]?.sink.text).toBe('9');
    expect(world.load).toBe('total 2 busy 0 idle 2 waiting 0');
  });

  test('the connection used last is used first, so that surplus ones age out', () => {
    const world = new HttpWorld();
    world.send();
    world.send();
    const [a, b] = [world.attemptAt(0).accept(), world.attemptAt(1).accept()];
    a.say(reply('1'));
    b.say(reply('2'));
    for (let i = 0; i < 8; i++) {
      world.clock.advance(1_000);
      world.send();
      b.say(reply('3'));
    }
    expect([a.destroyed, b.destroyed]).toEqual([true, false]);
    expect(world.load).toBe('total 1 busy 0 idle 1 waiting 0');
  });

  test('whoever leaves the queue is skipped, wherever it stood', () => {
    for (const leaving of [0, 1, 2]) {
      const world = new HttpWorld(httpSpec({ connectionsMax: 1 }));
      world.send();
      const waiting = [world.send(), world.send(), world.send()];
      waiting[leaving]?.call.abort();
      expect(world.load).toBe('total 1 busy 1 idle 0 waiting 2');
      const socket = world.attemptAt(0).accept();
      for (const text of ['a', 'b', 'c']) socket.say(reply(text));
      const texts = waiting.map(({ sink }) => sink.text);
      expect(texts.splice(leaving, 1)).toEqual(['']);
      expect(texts).toEqual(['b', 'c']);
      expect(world.load).toBe('total 1 busy 0 idle 1 waiting 0');
    }
  });

  test('who waits longer than a reply may take gets busy, which is safe to repeat', () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 1 }, { firstByteTimeoutMs: 4_000 }));
    world.send();
    world.attemptAt(0).accept();
    const patient = world.send();
    const hasty = world.send({ timeoutMs: 500 });
    world.clock.advance(601);
    expect([codeOf(hasty.sink), codeOf(patient.sink)]).toEqual(['GW_UPSTREAM_BUSY', null]);
    expect(world.load).toBe('total 1 busy 1 idle 0 waiting 1');
  });

  test('a connection that fails lets the next in line try its own', () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 1 }));
    const calls = [world.send(), world.send(), world.send()];
    world.attemptAt(0).refuse();
    world.attemptAt(1).refuse();
    world.attemptAt(2).accept().say(reply('{}'));
    expect(calls.map(({ sink }) => codeOf(sink))).toEqual([
      'GW_UPSTREAM_CONNECT',
      'GW_UPSTREAM_CONNECT',
      null,
    ]);
    expect(calls[2]?.sink.ended).toBe(1);
  });
});

describe('event streams that last', () => {
  const STREAM = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';

  test('of GETs give their place away at once, and take none back', () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 1 }));
    const stream = world.send({ verb: 'GET' });
    const { sink } = world.send();
    expect(world.attempts).toHaveLength(1);
    const streaming = world.attemptAt(0).accept();
    streaming.say(STREAM);
    const calling = world.attemptAt(1).accept();
    calling.say(reply('{}'));
    expect(sink.ended).toBe(1);
    expect(world.load).toBe('total 2 busy 1 idle 1 waiting 0');
    streaming.say('0\r\n\r\n');
    expect(stream.sink.ended).toBe(1);
    expect([streaming.destroyed, calling.destroyed]).toEqual([true, false]);
    expect(world.load).toBe('total 1 busy 0 idle 1 waiting 0');
  });

  test('of POSTs do so when they turn out to last', () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 1 }));
    const stream = world.send();
    const { sink } = world.send();
    const streaming = world.attemptAt(0).accept();
    streaming.say(STREAM);
    world.clock.advance(900);
    expect(world.attempts).toHaveLength(1);
    world.clock.advance(300);
    const calling = world.attemptAt(1).accept();
    calling.say(reply('{}', 'connection: close\r\n'));
    expect(sink.ended).toBe(1);
    // Nobody has the place now: the stream's connection may stay.
    streaming.say('0\r\n\r\n');
    expect(stream.sink.ended).toBe(1);
    expect(world.load).toBe('total 1 busy 0 idle 1 waiting 0');
    stream.call.abort();
    expect(world.load).toBe('total 1 busy 0 idle 1 waiting 0');
  });

  test('that are aborted or break leave the bound as it was', () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 1 }));
    for (const end of ['abort', 'break'] as const) {
      const { call } = world.send({ verb: 'GET' });
      const socket = world.attemptAt(-1).accept();
      socket.say(STREAM);
      if (end === 'abort') call.abort();
      else socket.snap();
    }
    world.send();
    world.send();
    expect(world.load).toBe('total 1 busy 1 idle 0 waiting 1');
  });
});

describe('sockets that are closed but not yet quiet', () => {
  test('their late events reach nobody', () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 1 }));
    const first = world.send();
    const old = world.attemptAt(0).accept();
    first.call.abort();
    const { sink } = world.send();
    const fresh = world.attemptAt(1).accept();
    old.say(reply('{"old":1}'));
    old.handler.onEnd();
    old.handler.onDrain();
    old.handler.onClose('ECONNRESET');
    expect(sink.over).toBe(false);
    fresh.say(reply('{"fresh":1}'));
    expect(sink.text).toBe('{"fresh":1}');
  });

  test('attempts that hang for good do not pile up without bound, and calls go on when they end', () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 2 }));
    for (let round = 0; round < LIMITS.connectsLostMin; round++) {
      world.send();
      world.send();
      world.clock.advance(1_101);
    }
    expect(world.attempts).toHaveLength(2 + LIMITS.connectsLostMin);
    world.clock.advance(5_000);
    expect(world.load).toBe(GONE);
    const { sink } = world.send();
    expect(world.load).toBe('total 0 busy 0 idle 0 waiting 1');
    world.attemptAt(0).refuse('ETIMEDOUT');
    world.attemptAt(-1).accept().say(reply('{}'));
    expect(sink.ended).toBe(1);
  });

  test('regression: a server that swallowed packets for a while is reached at once when it is back, by a pool of one connection too', () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 1 }));
    // The kernel gives an attempt up after two minutes; by default each is waited for for 5 s.
    for (let lost = 0; lost < 25; lost++) {
      world.send();
      world.clock.advance(5_101);
    }
    const { sink } = world.send();
    world.attemptAt(-1).accept().say(reply('{}'));
    expect(sink.ended).toBe(1);
  });

  test('a runtime that closes within destroy() gives each slot back once', () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 2 }));
    for (let i = 0; i < 10; i++) {
      const { sink } = world.send();
      const socket = world.attemptAt(-1).accept();
      socket.closesAtOnce = true;
      socket.say(reply(`${i}`, 'connection: close\r\n'));
      expect(sink.text).toBe(`${i}`);
      expect(world.load).toBe(GONE);
    }
    // Were a slot given back twice, two calls would share one now.
    const calls = [world.send(), world.send()];
    world.attemptAt(-2).accept().say(reply('a'));
    world.attemptAt(-1).accept().say(reply('b'));
    expect(calls.map(({ sink }) => sink.text)).toEqual(['a', 'b']);
  });

  test('a queue is served although the closed socket is not quiet yet', () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 1 }));
    const calls = [world.send(), world.send(), world.send(), world.send()];
    for (let i = 0; i < calls.length; i++) {
      const socket = world.attemptAt(-1).accept();
      socket.say(reply(`${i}`, 'connection: close\r\n'));
      socket.handler.onClose(null);
    }
    expect(calls.map(({ sink }) => sink.text)).toEqual(['0', '1', '2', '3']);
    expect(world.load).toBe(GONE);
  });
});

describe('closing', () => {
  test('lets running and waiting calls finish, takes no new ones, then is done', async () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 1 }));
    const running = world.send();
    const waiting = world.send();
    const socket = world.attemptAt(0).accept();
    let closed = false;
    const closing = world.upstream.close(5_000).then(() => {
      closed = true;
    });
    const late = world.send();
    world.clock.turn();
    expect(codeOf(late.sink)).toBe('GW_UPSTREAM_CLOSING');
    socket.say(reply('1'));
    await Promise.resolve();
    expect(closed).toBe(false);
    socket.say(reply('2'));
    await closing;
    expect([running.sink.text, waiting.sink.text]).toEqual(['1', '2']);
    expect(socket.destroyed).toBe(true);
    expect(world.load).toBe(GONE);
    expect(world.clock.pending).toBe(0);
  });

  test('breaks off what takes too long, telling what may have been executed', async () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 2 }));
    const [sent, connecting, waiting] = [world.send(), world.send(), world.send()];
    world.attemptAt(0).accept();
    const closing = world.upstream.close(500);
    world.clock.advance(500);
    await closing;
    expect([sent, connecting, waiting].map(({ sink }) => codeOf(sink))).toEqual([
      'GW_UPSTREAM_CLOSED',
      'GW_UPSTREAM_CLOSING',
      'GW_UPSTREAM_CLOSING',
    ]);
    expect(world.load).toBe(GONE);
    expect(world.clock.pending).toBe(0);
  });

  test('regression: ends also when nothing but calls is left that wait for places of another worker', async () => {
    const shape = { workers: 2, upstreams: 1, endpoints: 0, ringBytes: 4096, journalRecords: 1 };
    const memory = createMemory(shape, 0);
    const world = new HttpWorld(httpSpec({ connectionsMax: 1 }), { cell: new PoolCell(memory, 0, 0) });
    expect(new PoolCell(memory, 0, 1).acquire(1)).toBe(true);
    const waiting = world.send();
    expect(world.load).toBe('total 0 busy 0 idle 0 waiting 1');
    const closing = world.upstream.close(500);
    world.clock.advance(500);
    await closing;
    expect(codeOf(waiting.sink)).toBe('GW_UPSTREAM_CLOSING');
    expect(world.clock.pending).toBe(0);
  });

  test('is at once when nothing runs, idle connections included, and may be asked for twice', async () => {
    const world = new HttpWorld();
    const socket = world.warm();
    const abandoned = world.send({ verb: 'GET' });
    abandoned.call.abort();
    await Promise.all([world.upstream.close(1_000), world.upstream.close(1_000)]);
    expect(socket.destroyed).toBe(true);
    expect(world.clock.pending).toBe(0);
  });

  test('does not wait for an attempt that nobody wants', async () => {
    const world = new HttpWorld();
    const { call } = world.send();
    call.abort();
    await world.upstream.close(1_000);
    expect(world.attemptAt(0).accept().destroyed).toBe(true);
  });
});

test('whatever happens in whatever order, every call ends once and everything is given back', () => {
  const step = fc.constantFrom(
    'send',
    'accept',
    'refuse',
    'reply',
    'half',
    'junk',
    'hang up',
    'snap',
    'abort',
    'quiet',
    'wait',
  );
  const steps = fc.array(fc.tuple(step, fc.nat({ max: 7 })), { maxLength: 60 });
  fc.assert(
    fc.property(steps, fc.boolean(), (walk, closesAtOnce) => {
      const world = new HttpWorld();
      const calls: ReturnType<HttpWorld['send']>[] = [];
      const pending = () => world.attempts.filter((attempt) => !decided.has(attempt));
      const decided = new Set<object>();
      const live = () => world.sockets.filter((socket) => !socket.destroyed && !socket.closed);
      for (const [what, which] of walk) {
        const attempt = pending()[which % Math.max(1, pending().length)];
        const socket = live()[which % Math.max(1, live().length)];
        if (what === 'send') calls.push(world.send());
        else if (what === 'abort') calls[which % Math.max(1, calls.length)]?.call.abort();
        else if (what === 'wait') world.clock.advance(which * 300);
        else if (what === 'quiet') {
          for (const gone of world.sockets.filter((one) => one.destroyed && !one.closed && !closesAtOnce)) {
            gone.closed = true;
            gone.handler.onClose(null);
          }
        } else if (what === 'accept' || what === 'refuse') {
          if (attempt === undefined) continue;
          decided.add(attempt);
          if (what === 'accept') attempt.accept().closesAtOnce = closesAtOnce;
          else attempt.refuse();
        } else if (socket === undefined) continue;
        else if (what === 'reply') socket.say(reply('{}'));
        else if (what === 'half') socket.say('HTTP/1.1 200 OK\r\nx: ');
        else if (what === 'junk') socket.say(`${reply('{}')}junk`);
        else if (what === 'hang up') socket.hangUp();
        else socket.snap();
        const { total, busy, idle } = world.upstream.stats();
        expect(total).toBeLessThanOrEqual(2);
        expect(busy + idle).toBeLessThanOrEqual(total);
      }
      for (const attempt of pending()) attempt.refuse();
      world.clock.advance(20_000);
      for (const attempt of world.attempts.slice(decided.size))
        if (!decided.has(attempt)) decided.add(attempt);
      expect(calls.filter(({ sink }) => sink.ended + (sink.failed === null ? 0 : 1) > 1)).toHaveLength(0);
      expect(world.load).toBe(GONE);
      expect(world.clock.pending).toBe(0);
    }),
    { numRuns: 300 },
  );
});
