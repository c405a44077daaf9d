// One connection at a time: sending under back-pressure, replies, reuse, the rule of the second attempt, pauses, aborts, deadlines.
// Runs src/upstream/http.ts over played sockets and a clock that the test moves.

import { describe, expect, test } from 'bun:test';
import { decode, type Edit, encode } from '../../../src/base/bytes.ts';
import { NO_CLIENT } from '../../../src/upstream/upstream.ts';
import { attemptWithRoom, CALL, codeOf, HttpWorld, httpSpec, reply } from './http-world.ts';

const IDLE = 'total 1 busy 0 idle 1 waiting 0';
const GONE = 'total 0 busy 0 idle 0 waiting 0';
const CHUNKED_HEAD =
  'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n';
const STREAM_HEAD =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';

describe('an exchange', () => {
  test('is one write, and its reply comes whole in one turn', () => {
    const world = new HttpWorld();
    const { sink } = world.send();
    const socket = world.attemptAt(0).accept();
    expect(socket.written).toHaveLength(1);
    expect(socket.text.endsWith(`\r\ncontent-length: ${CALL.length}\r\n\r\n${CALL}`)).toBe(true);
    socket.say(reply('{"ok":1}', 'mcp-session-id: s1\r\n'));
    expect([sink.text, sink.ended, sink.chunks.length]).toEqual(['{"ok":1}', 1, 1]);
    expect(sink.head).toMatchObject({
      status: 200,
      media: 'json',
      contentLength: 8,
      whole: true,
      sessionId: 's1',
    });
    expect(world.load).toBe(IDLE);
  });

  test('has its edits applied', () => {
    const world = new HttpWorld();
    const at = CALL.indexOf('echo');
    const edits: Edit[] = [{ start: at, end: at + 4, insert: encode('longer') }];
    world.send({ edits });
    const socket = world.attemptAt(0).accept();
    expect(socket.written).toHaveLength(1);
    expect(socket.text.endsWith(CALL.replace('echo', 'longer'))).toBe(true);
    expect(socket.text).toContain(`content-length: ${CALL.length + 2}\r\n`);
  });

  test('reads headers only within onHead', () => {
    const world = new HttpWorld();
    const seen: (string | null)[] = [];
    const call = world.upstream.send(
      {
        verb: 'POST',
        era: 'legacy',
        body: encode(CALL),
        envelope: null,
        edits: [],
        headers: [],
        session: null,
        exchangeId: '',
        client: NO_CLIENT,
        timeoutMs: 0,
      },
      {
        onHead(head) {
          seen.push(head.header('x-answer'));
        },
        onData: () => true,
        onEnd: () => undefined,
        onFail: () => undefined,
      },
    );
    world.attemptAt(0).accept().say(reply('{}', 'X-Answer: 42\r\n'));
    expect(seen).toEqual(['42']);
    expect(() => (call as unknown as { header(name: string): string }).header('x-answer')).toThrow();
  });

  test('with a header that cannot be sent fails after send(), and the connection serves the next', () => {
    const world = new HttpWorld();
    const socket = world.warm();
    const before = socket.written.length;
    const { sink } = world.send({ headers: ['x-bad', 'a\r\nb: c'] });
    world.clock.turn();
    expect(codeOf(sink)).toBe('GW_BASE_INTERNAL');
    expect(socket.written.length).toBe(before);
    const { sink: next } = world.send();
    socket.say(reply('{}'));
    expect(next.ended).toBe(1);
  });

  test('with edits beyond its body fails after send()', () => {
    const world = new HttpWorld();
    const socket = world.warm();
    for (const edits of [
      [{ start: 70_000, end: 2, insert: encode('x'.repeat(70_000)) }],
      [{ start: 2, end: 4, insert: encode('x') }],
      [
        { start: 2, end: 3, insert: encode('x') },
        { start: 0, end: 1, insert: encode('x') },
      ],
    ]) {
      const { sink } = world.send({ body: 'abc', edits });
      world.clock.turn();
      expect(codeOf(sink)).toBe('GW_BASE_INTERNAL');
    }
    expect(socket.requests).toBe(1);
    expect(world.load).toBe(IDLE);
  });

  test('whose sink throws in its last event is reported, and the connection goes on', () => {
    const world = new HttpWorld();
    const throws = (): never => {
      throw new Error('too late');
    };
    const sink = { onHead: () => undefined, onData: () => true, onEnd: throws, onFail: throws };
    const socket = world.warm();
    world.upstream.send({ ...plain(), body: encode(CALL) }, sink);
    socket.say(reply('{}'));
    expect(world.load).toBe(IDLE);
    world.upstream.send({ ...plain(), body: encode(CALL) }, sink);
    socket.say('nonsense\r\n\r\n');
    expect(world.load).toBe(GONE);
    expect(world.logged.filter((line) => line.includes('too late'))).toHaveLength(2);
  });

  test('whose sink throws ends alone', () => {
    const world = new HttpWorld();
    let failed = '';
    const sink = {
      onHead: () => undefined,
      onData: () => {
        throw new Error('a fault of the sink');
      },
      onEnd: () => {
        failed = 'ended';
      },
      onFail: (error: { code: string }) => {
        failed = error.code;
      },
    };
    const { sink: ignored } = world.send();
    world.attemptAt(0).accept().say(reply('{}'));
    expect(ignored.ended).toBe(1);
    world.upstream.send({ ...plain(), body: encode(CALL) }, sink);
    world.sockets[0]?.say(`${CHUNKED_HEAD}1\r\nx\r\n`);
    expect(failed).toBe('GW_BASE_INTERNAL');
    expect(world.load).toBe(GONE);
  });

  test('that asks for nothing back gets 202 without a body', () => {
    const world = new HttpWorld();
    const { sink } = world.send();
    world.attemptAt(0).accept().say('HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n');
    expect(sink.head).toMatchObject({ status: 202, media: 'none', contentLength: 0, whole: true });
    expect([sink.ended, sink.chunks.length]).toEqual([1, 0]);
  });
});

function plain() {
  return {
    verb: 'POST' as const,
    era: 'legacy' as const,
    envelope: null,
    edits: [],
    headers: [],
    session: null,
    exchangeId: '',
    client: NO_CLIENT,
    timeoutMs: 0,
  };
}

describe('sending', () => {
  const body = 'b'.repeat(300);

  test('goes on after a short write, wherever it stopped', () => {
    const whole = new HttpWorld();
    whole.send({ body });
    const text = whole.attemptAt(0).accept().text;
    for (let room = 0; room <= text.length; room += 7) {
      const world = new HttpWorld();
      const { sink } = world.send({ body });
      const attempt = world.attemptAt(0);
      const socket = attemptWithRoom(attempt, room);
      // Another call uses the scratch meanwhile.
      world.send({ body: 'other' });
      world.attemptAt(1).accept();
      for (let turn = 0; socket.text.length < text.length && turn < 1_000; turn++) socket.drain(5);
      expect(socket.text).toBe(text);
      socket.say(reply('{}'));
      expect(sink.ended).toBe(1);
    }
  });

  test('sends a large body with edits in order, byte for byte, however little is taken at a time', () => {
    const large = `${'x'.repeat(50_000)}NAME${'y'.repeat(50_000)}URI${'z'.repeat(70_000)}`;
    const name = large.indexOf('NAME');
    const uri = large.indexOf('URI');
    const edits: Edit[] = [
      { start: 0, end: 0, insert: encode('first') },
      { start: name, end: name + 4, insert: encode('renamed') },
      { start: uri, end: uri + 3, insert: encode('') },
      { start: large.length, end: large.length, insert: encode('last') },
    ];
    const expected = `first${large.replace('NAME', 'renamed').replace('URI', '')}last`;
    for (const room of [1_000, 49_999, 65_536, 1_000_000]) {
      const world = new HttpWorld();
      world.send({ body: large, edits });
      const socket = attemptWithRoom(world.attemptAt(0), room);
      for (let turn = 0; turn < 1_000 && socket.room === 0; turn++) socket.drain(room);
      const sent = socket.text;
      expect(sent.slice(sent.indexOf('\r\n\r\n') + 4)).toBe(expected);
      expect(sent).toContain(`content-length: ${expected.length}\r\n`);
    }
  });

  test('a reply that comes before the request was taken whole is delivered, and the connection closed', () => {
    const world = new HttpWorld();
    const { sink } = world.send({ body: 'b'.repeat(200_000) });
    const socket = attemptWithRoom(world.attemptAt(0), 10_000);
    socket.say('HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n');
    expect(sink.head?.status).toBe(413);
    expect(sink.ended).toBe(1);
    expect(socket.destroyed).toBe(true);
    expect(world.load).toBe(GONE);
  });

  test('drain without anything to send does nothing', () => {
    const world = new HttpWorld();
    const socket = world.warm();
    const before = socket.text;
    socket.drain(100);
    expect(socket.text).toBe(before);
  });
});

describe('a connection is used again', () => {
  test('after a complete reply, and the count says so', () => {
    const world = new HttpWorld();
    const socket = world.warm();
    for (let i = 0; i < 5; i++) {
      const { sink } = world.send();
      socket.say(reply(`{"n":${i}}`));
      expect(sink.text).toBe(`{"n":${i}}`);
    }
    expect(world.attempts).toHaveLength(1);
    expect(world.upstream.stats()).toMatchObject({ connects: 1, reuses: 5, failures: 0 });
  });

  for (const [name, text] of [
    ['it said close', reply('{}', 'connection: close\r\n')],
    ['it spoke HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n'],
    ['it keeps connections for a second only', reply('{}', 'keep-alive: timeout=1\r\n')],
    ['a 304 announced a length', 'HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n'],
  ] as const) {
    test(`but not when ${name}`, () => {
      const world = new HttpWorld();
      const { sink } = world.send();
      const socket = world.attemptAt(0).accept();
      socket.say(text);
      expect(sink.ended).toBe(1);
      expect(socket.destroyed).toBe(true);
      expect(world.load).toBe(GONE);
      expect(world.upstream.stats().failures).toBe(0);
    });
  }

  test('but not when bytes came behind the reply; they reach nobody', () => {
    const world = new HttpWorld();
    const { sink } = world.send();
    const socket = world.attemptAt(0).accept();
    socket.say(reply('{"mine":1}') + reply('{"stray":1}'));
    expect(sink.text).toBe('{"mine":1}');
    expect(socket.destroyed).toBe(true);
    const { sink: next } = world.send();
    world.attemptAt(1).accept().say(reply('{"next":1}'));
    expect(next.text).toBe('{"next":1}');
    expect(world.upstream.stats().failures).toBe(1);
    expect(world.logged.join('')).not.toContain('stray');
  });

  test('but not when bytes come while it is idle; the next caller gets its own reply', () => {
    const world = new HttpWorld();
    const socket = world.warm();
    socket.say(reply('{"stray":1}'));
    expect(socket.destroyed).toBe(true);
    expect(world.load).toBe(GONE);
    socket.say(reply('{"stray":2}'));
    const { sink } = world.send();
    world.attemptAt(1).accept().say(reply('{"own":1}'));
    socket.handler.onClose(null);
    expect(sink.text).toBe('{"own":1}');
    expect(world.upstream.stats().failures).toBe(1);
    expect(world.logged.filter((line) => line.includes('"warn"'))).toHaveLength(1);
  });

  test('but not when the server hung up while it was idle', () => {
    const world = new HttpWorld();
    world.warm().hangUp();
    expect(world.load).toBe(GONE);
    expect(world.upstream.stats().failures).toBe(0);
  });
});

describe('a connection that dies before any byte of the reply', () => {
  test('fresh, nothing written: the failure says that nothing was sent', () => {
    const world = new HttpWorld();
    const { sink } = world.send();
    const socket = attemptWithRoom(world.attemptAt(0), 0);
    socket.hangUp();
    world.clock.turn();
    expect(codeOf(sink)).toBe('GW_UPSTREAM_SEND');
    expect(sink.failed?.row.retry).toBe('fresh-connection');
  });

  test('fresh, something written: it may have been executed', () => {
    const world = new HttpWorld();
    const { sink } = world.send();
    world.attemptAt(0).accept().hangUp();
    world.clock.turn();
    expect(codeOf(sink)).toBe('GW_UPSTREAM_CLOSED');
    expect(sink.failed?.row.retry).toBe('never');
    expect(world.attempts).toHaveLength(1);
  });

  test('reused, found closed when writing: moved to a fresh one', () => {
    const world = new HttpWorld();
    const socket = world.warm();
    const requests = socket.requests;
    socket.closed = true;
    const { sink } = world.send();
    const second = world.attemptAt(1).accept();
    expect([socket.requests, second.requests]).toEqual([requests, 1]);
    second.say(reply('{"second":1}'));
    expect(sink.text).toBe('{"second":1}');
    expect(world.load).toBe(IDLE);
  });

  test('reused, kernel took nothing: moved to a fresh one, once', () => {
    const world = new HttpWorld();
    const socket = world.warm();
    socket.room = 0;
    const { sink } = world.send();
    socket.hangUp();
    const second = attemptWithRoom(world.attemptAt(1), 0);
    second.hangUp();
    world.clock.turn();
    expect(codeOf(sink)).toBe('GW_UPSTREAM_SEND');
    expect(world.attempts).toHaveLength(2);
    expect(world.load).toBe(GONE);
  });

  test('opened for nobody and closed meanwhile: moved to a fresh one', () => {
    const world = new HttpWorld();
    world.send().call.abort();
    world.attemptAt(0).accept().closed = true;
    const { sink } = world.send();
    world.attemptAt(1).accept().say(reply('{}'));
    expect(sink.ended).toBe(1);
  });

  test('reused, a POST that was written: never sent again', () => {
    for (const written of [1, 50, Number.MAX_SAFE_INTEGER]) {
      const world = new HttpWorld();
      const socket = world.warm();
      socket.room = written;
      const { sink } = world.send();
      socket.snap();
      world.clock.turn();
      expect(codeOf(sink)).toBe('GW_UPSTREAM_CLOSED');
      expect(world.attempts).toHaveLength(1);
      expect(world.load).toBe(GONE);
    }
  });

  for (const verb of ['GET', 'DELETE'] as const) {
    test(`reused, a ${verb} that was written: sent again, once`, () => {
      const world = new HttpWorld();
      const socket = world.warm();
      const { sink } = world.send({ verb, session: 's' });
      socket.hangUp();
      const second = world.attemptAt(1).accept();
      expect(second.text.startsWith(`${verb} /mcp `)).toBe(true);
      second.hangUp();
      world.clock.turn();
      expect(codeOf(sink)).toBe('GW_UPSTREAM_CLOSED');
      expect(world.attempts).toHaveLength(2);
    });
  }

  test('reused, after a byte of the reply: never sent again', () => {
    for (const text of ['H', 'HTTP/1.1 100 Continue\r\n\r\n', CHUNKED_HEAD, `${CHUNKED_HEAD}1\r\nx`]) {
      const world = new HttpWorld();
      const socket = world.warm();
      const { sink } = world.send({ verb: 'GET' });
      socket.say(text);
      socket.hangUp();
      world.clock.turn();
      expect(codeOf(sink)).toBe('GW_UPSTREAM_CLOSED');
      expect(world.attempts).toHaveLength(1);
    }
  });

  test('and whose place others wait for: the moved one, which came first, has it', () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 1 }));
    const socket = world.warm();
    socket.room = 0;
    const moved = world.send();
    const waiting = [world.send(), world.send()];
    socket.hangUp();
    expect(world.load).toBe('total 1 busy 1 idle 0 waiting 2');
    const second = world.attemptAt(1).accept();
    for (const text of ['1', '2', '3']) second.say(reply(text));
    expect([moved, ...waiting].map((sent) => sent.sink.text)).toEqual(['1', '2', '3']);
    expect(world.load).toBe(IDLE);
  });

  test('twice: is not tried a third time, even when it may run twice', () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 1 }));
    const socket = world.warm();
    const moved = world.send({ verb: 'DELETE' });
    socket.hangUp();
    world.attemptAt(1).accept().hangUp();
    world.clock.turn();
    expect(codeOf(moved.sink)).toBe('GW_UPSTREAM_CLOSED');
    expect(world.attempts).toHaveLength(2);
    expect(world.load).toBe(GONE);
  });

  test('regression: while the pool closes: it closes only when the moved one is done, too', async () => {
    const world = new HttpWorld();
    const socket = world.warm();
    socket.room = 0;
    const moved = world.send();
    let isClosed = false;
    const closing = world.upstream.close(1_000).then(() => {
      isClosed = true;
    });
    socket.hangUp();
    await Promise.resolve();
    expect([isClosed, world.load]).toEqual([false, 'total 1 busy 1 idle 0 waiting 0']);
    world.attemptAt(1).accept().say(reply('late'));
    await closing;
    expect([moved.sink.text, world.load]).toEqual(['late', GONE]);
  });
});

describe('back-pressure on a reply', () => {
  test('a sink that is full pauses the socket until resume()', () => {
    const world = new HttpWorld();
    const { sink, call } = world.send();
    const socket = world.attemptAt(0).accept();
    sink.takes = false;
    socket.say(`${CHUNKED_HEAD}1\r\na\r\n`);
    expect([sink.text, socket.paused]).toEqual(['a', true]);
    // The runtime may have read more already.
    socket.say('1\r\nb\r\n');
    socket.say('1\r\nc\r\n');
    expect(sink.text).toBe('a');
    call.resume();
    call.resume();
    expect(sink.text).toBe('a');
    world.clock.turn();
    expect([sink.text, socket.paused]).toEqual(['abc', true]);
    sink.takes = true;
    call.resume();
    expect(socket.paused).toBe(false);
    socket.say('0\r\n\r\n');
    expect(sink.ended).toBe(1);
    expect(world.load).toBe(IDLE);
  });

  test('the end of the connection waits its turn', () => {
    for (const proper of [true, false]) {
      const world = new HttpWorld();
      const { sink, call } = world.send();
      const socket = world.attemptAt(0).accept();
      sink.takes = false;
      socket.say('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{"a"');
      socket.say(':1}');
      if (proper) socket.hangUp();
      else socket.snap();
      expect(sink.over).toBe(false);
      sink.takes = true;
      call.resume();
      world.clock.turn();
      expect(sink.text).toBe('{"a":1}');
      expect(codeOf(sink)).toBe(proper ? null : 'GW_UPSTREAM_CLOSED');
      expect(sink.over).toBe(true);
      expect(world.load).toBe(GONE);
      expect(world.warm().requests).toBe(1);
    }
  });

  test('the last piece needs no resume', () => {
    const world = new HttpWorld();
    const { sink, call } = world.send();
    sink.takes = false;
    const socket = world.attemptAt(0).accept();
    socket.say(reply('{}'));
    expect(sink.ended).toBe(1);
    expect(socket.paused).toBe(false);
    call.resume();
    expect(world.load).toBe(IDLE);
  });

  test('an abort while paused leaves nothing behind', () => {
    const world = new HttpWorld();
    const { sink, call } = world.send();
    const socket = world.attemptAt(0).accept();
    sink.takes = false;
    socket.say(`${CHUNKED_HEAD}1\r\na\r\n`);
    socket.say('1\r\nb\r\n');
    call.resume();
    call.abort();
    world.clock.turn();
    expect([sink.text, sink.over]).toEqual(['a', false]);
    expect(socket.destroyed).toBe(true);
    expect(world.load).toBe(GONE);
  });
});

describe('abort', () => {
  test('while waiting for the reply closes the connection and nothing follows', () => {
    const world = new HttpWorld();
    const { sink, call } = world.send();
    const socket = world.attemptAt(0).accept();
    call.abort();
    call.abort();
    expect(socket.destroyed).toBe(true);
    socket.say(reply('{}'));
    socket.handler.onClose(null);
    world.clock.turn();
    expect([sink.head, sink.over]).toEqual([null, false]);
    expect(world.load).toBe(GONE);
  });

  test('in the middle of a reply closes the connection', () => {
    const world = new HttpWorld();
    const { sink, call } = world.send();
    const socket = world.attemptAt(0).accept();
    socket.say(`${STREAM_HEAD}3\r\n:\n\n\r\n`);
    call.abort();
    socket.say('0\r\n\r\n');
    expect([sink.text, sink.over, socket.destroyed]).toEqual([':\n\n', false, true]);
  });

  test('while connecting leaves the connection to the next call', () => {
    const world = new HttpWorld();
    const { sink, call } = world.send();
    call.abort();
    expect(world.load).toBe('total 1 busy 0 idle 0 waiting 0');
    const socket = world.attemptAt(0).accept();
    expect(socket.written).toHaveLength(0);
    expect(world.load).toBe(IDLE);
    const { sink: next } = world.send();
    socket.say(reply('{}'));
    expect([next.ended, sink.over]).toEqual([1, false]);
  });

  test('inside onHead and inside onData is obeyed', () => {
    for (const inside of ['onHead', 'onData'] as const) {
      for (const text of [reply('{}'), `${CHUNKED_HEAD}1\r\nx\r\n`]) {
        const world = new HttpWorld();
        const events: string[] = [];
        const box: { call: { abort(): void } | null } = { call: null };
        const note = (event: string): void => {
          events.push(event);
          if (event === inside) box.call?.abort();
        };
        box.call = world.upstream.send(
          { ...plain(), body: encode(CALL) },
          {
            onHead: () => note('onHead'),
            onData: () => {
              note('onData');
              return true;
            },
            onEnd: () => note('onEnd'),
            onFail: () => note('onFail'),
          },
        );
        world.attemptAt(0).accept().say(text);
        expect(events.at(-1)).toBe(inside);
        // A reply that was whole leaves the connection usable.
        expect(world.load).toBe(text === reply('{}') ? IDLE : GONE);
      }
    }
  });

  test('after the end touches nobody else’s exchange', () => {
    const world = new HttpWorld();
    const { call } = world.send();
    const socket = world.attemptAt(0).accept();
    socket.say(reply('{}'));
    const { sink } = world.send();
    call.abort();
    call.resume();
    expect(socket.destroyed).toBe(false);
    socket.say(reply('{"still":1}'));
    expect(sink.text).toBe('{"still":1}');
  });
});

describe('deadlines', () => {
  /** Far enough beyond a deadline for two ticks. */
  const slack = 101;

  test('connecting', () => {
    const world = new HttpWorld();
    const { sink } = world.send();
    world.clock.advance(1_000);
    expect(sink.over).toBe(false);
    world.clock.advance(slack);
    expect(codeOf(sink)).toBe('GW_UPSTREAM_CONNECT');
    expect(world.load).toBe(GONE);
    // The attempt succeeds late: nobody wants it any more.
    expect(world.attemptAt(0).accept().destroyed).toBe(true);
  });

  test('the first byte, of a call with its own bound earlier', () => {
    for (const [timeoutMs, boundMs] of [
      [0, 4_000],
      [700, 700],
      [9_000, 4_000],
    ] as const) {
      const world = new HttpWorld();
      const { sink } = world.send({ timeoutMs });
      const socket = world.attemptAt(0).accept();
      world.clock.advance(boundMs);
      expect(sink.over).toBe(false);
      // Neither interim replies nor half a head are a reply.
      socket.say('HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 2');
      world.clock.advance(slack);
      expect(codeOf(sink)).toBe('GW_UPSTREAM_TIMEOUT');
      expect(socket.destroyed).toBe(true);
      expect(world.load).toBe(GONE);
    }
  });

  test('a call’s own bound, while still connecting, spares the attempt', () => {
    const world = new HttpWorld();
    const { sink } = world.send({ timeoutMs: 300 });
    world.clock.advance(300 + slack);
    expect(codeOf(sink)).toBe('GW_UPSTREAM_CONNECT');
    world.attemptAt(0).accept();
    expect(world.load).toBe(IDLE);
  });

  test('silence inside a reply, not progress, not a pause', () => {
    const world = new HttpWorld();
    const { sink, call } = world.send();
    const socket = world.attemptAt(0).accept();
    socket.say(CHUNKED_HEAD);
    for (let i = 0; i < 2; i++) {
      world.clock.advance(1_800);
      socket.say('1\r\nx\r\n');
    }
    sink.takes = false;
    socket.say('1\r\ny\r\n');
    world.clock.advance(3_000);
    expect(sink.over).toBe(false);
    sink.takes = true;
    call.resume();
    world.clock.advance(1_900);
    expect(sink.over).toBe(false);
    world.clock.advance(100 + slack);
    expect(codeOf(sink)).toBe('GW_UPSTREAM_IDLE');
  });

  test('silence inside a reply', () => {
    const world = new HttpWorld();
    const { sink } = world.send();
    const socket = world.attemptAt(0).accept();
    socket.say(CHUNKED_HEAD);
    world.clock.advance(2_000);
    expect(sink.over).toBe(false);
    world.clock.advance(slack);
    expect(codeOf(sink)).toBe('GW_UPSTREAM_IDLE');
    expect(socket.destroyed).toBe(true);
  });

  test('the whole reply, however busy', () => {
    const world = new HttpWorld();
    const { sink } = world.send();
    const socket = world.attemptAt(0).accept();
    socket.say(CHUNKED_HEAD);
    for (let i = 0; i < 10; i++) {
      expect(sink.over).toBe(false);
      world.clock.advance(1_000);
      socket.say('1\r\nx\r\n');
    }
    world.clock.advance(slack);
    expect(codeOf(sink)).toBe('GW_UPSTREAM_TIMEOUT');
  });

  test('do not hold for event streams once they began', () => {
    const world = new HttpWorld();
    const { sink } = world.send({ verb: 'GET' });
    const socket = world.attemptAt(0).accept();
    socket.say(STREAM_HEAD);
    world.clock.advance(24 * 3_600_000);
    expect(sink.over).toBe(false);
    socket.say('3\r\n:\n\n\r\n0\r\n\r\n');
    expect([sink.text, sink.ended]).toEqual([':\n\n', 1]);
  });

  test('pooled idle connections are closed before the server closes them, and no tick runs then', () => {
    for (const [header, lives, dies] of [
      ['', 3_900, 4_101],
      ['keep-alive: timeout=3\r\n', 1_900, 2_101],
      ['keep-alive: timeout=60\r\n', 3_900, 4_101],
    ] as const) {
      const world = new HttpWorld();
      world.send();
      const socket = world.attemptAt(0).accept();
      socket.say(reply('{}', header));
      world.clock.advance(lives);
      expect(socket.destroyed).toBe(false);
      world.clock.advance(dies - lives);
      expect(socket.destroyed).toBe(true);
      world.clock.advance(100);
      expect(world.clock.pending).toBe(0);
      expect(world.load).toBe(GONE);
    }
  });
});

describe('connections that cannot be made', () => {
  test('say why, without the headers', () => {
    const world = new HttpWorld(httpSpec({ headers: ['authorization', 'Bearer secret'] }));
    const { sink } = world.send({ headers: ['x-token', 'secret'] });
    world.attemptAt(0).refuse('ECONNREFUSED: connection refused');
    expect(codeOf(sink)).toBe('GW_UPSTREAM_CONNECT');
    expect(sink.failed?.message).toContain('"played": ECONNREFUSED');
    expect(`${sink.failed?.message}${world.logged.join('')}`).not.toContain('secret');
    expect(world.load).toBe(GONE);
    expect(world.upstream.stats()).toMatchObject({ connects: 0, failures: 1 });
  });

  test('for reasons of TLS have a code of their own', () => {
    const world = new HttpWorld();
    const { sink } = world.send();
    world.attemptAt(0).refuse('self signed certificate', true);
    expect(codeOf(sink)).toBe('GW_UPSTREAM_TLS');
  });

  test('do not concern a caller who has left', () => {
    const world = new HttpWorld();
    const { sink, call } = world.send();
    call.abort();
    world.attemptAt(0).refuse();
    expect(sink.over).toBe(false);
    expect(world.load).toBe(GONE);
  });
});

test('a reply of many pieces is the same however its bytes are cut', () => {
  const text = encode(`HTTP/1.1 103 Early\r\n\r\n${CHUNKED_HEAD}5\r\nhello\r\n1\r\n!\r\n0\r\na: b\r\n\r\n`);
  for (let at = 1; at < text.length; at++) {
    const world = new HttpWorld();
    const { sink } = world.send();
    const socket = world.attemptAt(0).accept();
    socket.say(text.slice(0, at));
    socket.say(text.slice(at));
    expect([decode(encode(sink.text)), sink.ended, world.load]).toEqual(['hello!', 1, IDLE]);
  }
});
