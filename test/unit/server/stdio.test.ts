// The front over stdio: lines in, lines out, one answer for every request, whatever the way to its server does.
// Runs server/stdio.ts, stdio-lines.ts and stdio-relay.ts over a lab; real processes belong to test/e2e.
import { describe, expect, test } from 'bun:test';
import { concat, decode, encode } from '../../../src/base/bytes.ts';
import { SILENT } from '../../../src/observe/log.ts';
import { StdioFront } from '../../../src/server/stdio.ts';
import type { FakeScript } from '../../../src/upstream/fake.ts';
import {
  eventOf,
  eventStream,
  INITIALIZE,
  json,
  jsonOf,
  Lab,
  type LabOptions,
  legacyScript,
  textResult,
} from '../../fixtures/lab.ts';
import { modernRequest } from '../../fixtures/messages.ts';

function frontOf(options: LabOptions) {
  const lab = new Lab(options);
  const written: Uint8Array[] = [];
  let ids = 0;
  const [endpoint] = lab.snapshot.endpoints;
  if (endpoint === undefined) throw new Error('no endpoint');
  const front = new StdioFront({
    snapshot: lab.snapshot,
    endpoint,
    serve: (exchange, body) => {
      lab.handles.admit(exchange);
      lab.pipeline.serve(exchange, body);
    },
    scanner: lab.scanner,
    clock: lab.sim.clock,
    log: SILENT,
    newId: () => `s${++ids}`,
    write: (bytes) => written.push(bytes.slice()),
  });
  const lines = () =>
    decode(concat([...written, encode('')]))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => jsonOf(encode(line)));
  const say = async (message: object | string, ms = 10): Promise<void> => {
    front.push(encode(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`));
    await lab.sim.advance(ms);
  };
  return { lab, front, lines, say };
}

const call = (id: unknown, name = 'a__t'): object => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name },
});
const single = (script: FakeScript) => frontOf({ servers: { a: script }, single: 'http' });

describe('lines', () => {
  test('are read however they are cut, with either line end', async () => {
    const { front, lines, lab } = single((sent) =>
      json({ jsonrpc: '2.0', id: jsonOf(sent.body).id, result: {} }),
    );
    const bytes = encode(`${JSON.stringify(call(1))}\r\n\n${JSON.stringify(call(2))}\n`);
    for (const byte of bytes) front.push(Uint8Array.of(byte));
    await lab.sim.advance(10);
    expect(lines().map((line) => line.id)).toEqual([1, 2]);
  });

  test('regression: a line that is too long is refused once, and its rest is no message', async () => {
    const { front, lines, lab } = frontOf({
      servers: { a: (sent) => json({ jsonrpc: '2.0', id: jsonOf(sent.body).id, result: {} }) },
      single: 'http',
      front: { bodyBytesMax: 200 },
    });
    front.push(encode('x'.repeat(150)));
    front.push(encode('x'.repeat(150)));
    front.push(encode(`${JSON.stringify(call(1))}\n${JSON.stringify(call(2))}\n`));
    await lab.sim.advance(10);
    expect(lines().map((line) => [line.id, line.error?.code])).toEqual([
      [undefined, -32600],
      [2, undefined],
    ]);
    expect(lab.fake('a').sent.length).toBe(1);
  });

  test('what is no JSON, or no message, is told without an id', async () => {
    const { lines, say } = single(() => ({}));
    await say('{"jsonrpc":');
    await say('5');
    await say('{"jsonrpc":"2.0","id":null,"method":"ping"}');
    expect(lines().map((line) => [line.error?.code, 'id' in line])).toEqual([
      [-32700, false],
      [-32600, false],
      [-32600, false],
    ]);
  });
});

describe('answers', () => {
  test('regression: every request gets one, whatever its reply is', async () => {
    const rows: readonly FakeScript[] = [
      () => ({ status: 202 }),
      () => ({
        status: 401,
        headers: { 'content-type': 'application/json' },
        body: '{"error":"unauthorized"}',
      }),
      () => ({ status: 404, headers: { 'content-type': 'application/json' }, body: 'garbage' }),
      () => eventStream([': \n\n']),
      () => eventStream([': \n\n'], { fail: 'GW_UPSTREAM_CLOSED', failLate: true }),
      () => eventStream(['data: {"half\n\n']),
      () => json('', { body: ['x'.repeat(300 * 1024), 'y'], fail: 'GW_UPSTREAM_IDLE', failLate: true }),
      () => json({ jsonrpc: '2.0', error: { code: -1, message: 'm' } }, { status: 400 }),
      () => ({ fail: 'GW_UPSTREAM_CONNECT' }),
    ];
    for (const script of rows) {
      const { lines, say } = single(script);
      await say(call('q'));
      expect(lines().map((line) => [line.id, line.error !== undefined])).toEqual([['q', true]]);
    }
  });

  test('notifications get none, not even when they are refused', async () => {
    const { lines, say } = frontOf({ servers: { a: legacyScript('a') } });
    await say({ jsonrpc: '2.0', method: 'notifications/roots/list_changed' });
    await say({ jsonrpc: '2.0', id: 9, result: {} });
    expect(lines()).toEqual([]);
  });

  test('a modern request carries its headers, and regression: no session', async () => {
    const sessions: (string | null)[] = [];
    const { lines, say, lab } = single((sent) => {
      sessions.push(sent.session);
      const { id } = jsonOf(sent.body);
      return json(
        { jsonrpc: '2.0', id, result: { protocolVersion: '2025-06-18' } },
        {
          headers: { 'content-type': 'application/json', 'mcp-session-id': 's1' },
        },
      );
    });
    await say(INITIALIZE);
    await say(modernRequest(2, 'tools/call', { name: 'é' }));
    await say(call(3));
    expect(lines().map((line) => line.id)).toEqual(['init', 2, 3]);
    expect(sessions).toEqual([null, null, 's1']);
    expect(lab.fake('a').sent[1]?.headers).toEqual(
      expect.arrayContaining([
        'mcp-method',
        'tools/call',
        'mcp-name',
        '=?base64?w6k=?=',
        'mcp-protocol-version',
        '2026-07-28',
      ]),
    );
    expect(lab.fake('a').sent[2]?.headers).toEqual(
      expect.arrayContaining(['mcp-protocol-version', '2025-06-18']),
    );
  });
});

describe('cancellation', () => {
  test('regression: a modern request is let go of by its id, however long and however spelled', async () => {
    for (const [id, named] of [
      ['"a"', '"\\u0061"'],
      ['7', '7'],
      [`"${'x'.repeat(300_000)}"`, `"${'x'.repeat(300_000)}"`],
    ]) {
      const { lab, lines, say } = single(() => ({ hang: true }));
      await say(modernRequest(1, 'tools/list').replace('"id":1', `"id":${id}`));
      await say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${named}}}`);
      expect(lab.fake('a').sent.map((sent) => sent.aborted)).toEqual([true]);
      expect(lines()).toEqual([]);
    }
  });

  test('"1" is not 1', async () => {
    const { lab, say } = single((_, index) => (index === 0 ? { hang: true } : { status: 202 }));
    await say(modernRequest(1, 'tools/list'));
    await say('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"1"}}');
    expect(lab.fake('a').sent[0]?.aborted).toBe(false);
  });
});

describe('sessions', () => {
  const streams = legacyScript('a', (message, sent) => {
    if (sent.verb === 'GET') return eventStream([eventOf({ jsonrpc: '2.0', method: 'n' })], { hang: true });
    return sent.verb === 'DELETE' ? {} : textResult(message, sent.session ?? '');
  });

  test('the session’s stream is opened after initialized and its messages come as lines', async () => {
    const { lines, say } = frontOf({ servers: { a: streams } });
    await say(INITIALIZE);
    await say({ jsonrpc: '2.0', method: 'notifications/initialized' });
    expect(lines().map((line) => line.id ?? line.method)).toEqual(['init', 'n']);
  });

  test('regression: a client that initializes again gets the stream of its new session', async () => {
    const { lab, say } = single((sent) =>
      sent.verb === 'GET'
        ? eventStream([': \n\n'], { hang: true })
        : sent.body.length > 0 && jsonOf(sent.body).method === 'initialize'
          ? json(
              { jsonrpc: '2.0', id: 'init', result: { protocolVersion: '2025-06-18' } },
              {
                headers: {
                  'content-type': 'application/json',
                  'mcp-session-id': `s${lab.fake('a').sent.length}`,
                },
              },
            )
          : { status: 202 },
    );
    for (let i = 0; i < 2; i++) {
      await say(INITIALIZE);
      await say({ jsonrpc: '2.0', method: 'notifications/initialized' });
    }
    const gets = lab.fake('a').sent.filter((sent) => sent.verb === 'GET');
    expect(gets.map((sent) => [sent.session, sent.aborted])).toEqual([
      ['s1', true],
      ['s4', false],
    ]);
  });

  test('closing waits for running calls, ends listens, and ends the session', async () => {
    const { lab, front, lines, say } = frontOf({
      servers: {
        a: legacyScript('a', (message, sent) =>
          sent.verb === 'DELETE' ? {} : { ...textResult(message, 'late'), delayMs: 500 },
        ),
      },
    });
    await say(INITIALIZE);
    await say(call(1));
    let isClosed = false;
    void front.close(1_000).then(() => {
      isClosed = true;
    });
    await lab.sim.advance(100);
    expect(isClosed).toBe(false);
    await lab.sim.advance(1_000);
    expect([isClosed, lines().map((line) => line.id)]).toEqual([true, ['init', 1]]);
    expect(lab.target.sessions).toBe(0);
  });
});

describe('replies that break off', () => {
  test('a legacy call is taken up again where its server allows it, and given up when nothing comes of it', async () => {
    for (const [resumed, answer] of [
      [eventStream([eventOf({ jsonrpc: '2.0', id: 1, result: {} })]), { id: 1, result: {} }],
      [{ status: 405 }, { id: 1, error: { code: -32603 } }],
      [eventStream([': \n\n']), { id: 1, error: { code: -32603 } }],
    ] as const) {
      const { lines, say, lab } = frontOf({
        servers: {
          a: legacyScript('a', (_, sent) =>
            sent.verb === 'GET' ? resumed : eventStream(['id: e1\nretry: 10\ndata: \n\n']),
          ),
        },
      });
      await say(INITIALIZE);
      await say(call(1), 5_000);
      expect(lines()[1]).toMatchObject(answer);
      expect(lines().length).toBe(2);
      const gets = lab.fake('a').sent.filter((sent) => sent.verb === 'GET');
      expect(gets[0]?.headers).toEqual(expect.arrayContaining(['last-event-id', 'e1']));
    }
  });

  test('a cancelled legacy call is forwarded, and nothing more is said of it', async () => {
    const { lines, say, lab } = frontOf({ servers: { a: legacyScript('a', () => ({ hang: true })) } });
    await say(INITIALIZE);
    await say(call(1));
    await say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }, 5_000);
    expect(lab.asked('a', 'notifications/cancelled').length).toBe(1);
    expect(lab.asked('a', 'tools/call')[0]?.aborted).toBe(true);
    expect(lines().length).toBe(1);
  });

  test('the session’s stream is opened again after a failure, and not after a refusal', async () => {
    for (const [reply, count] of [
      [{ fail: 'GW_UPSTREAM_CONNECT' }, 3],
      [{ status: 405 }, 1],
      [eventStream([': \n\n']), 3],
    ] as const) {
      const { say, lab } = single((sent) =>
        sent.verb === 'GET'
          ? reply
          : sent.body.length > 0 && jsonOf(sent.body).method === 'initialize'
            ? json(
                { jsonrpc: '2.0', id: 'init', result: {} },
                { headers: { 'content-type': 'application/json', 'mcp-session-id': 's' } },
              )
            : { status: 202 },
      );
      await say(INITIALIZE);
      await say({ jsonrpc: '2.0', method: 'notifications/initialized' }, 2_500);
      expect(lab.fake('a').sent.filter((sent) => sent.verb === 'GET').length).toBe(count);
    }
  });

  test('closing lets go of a listen at once', async () => {
    const { front, lab, say } = single(() => eventStream([': \n\n'], { hang: true }));
    await say(modernRequest(1, 'subscriptions/listen', {}));
    let isClosed = false;
    void front.close(60_000).then(() => {
      isClosed = true;
    });
    await lab.sim.advance(10);
    expect([isClosed, lab.fake('a').sent[0]?.aborted]).toEqual([true, true]);
  });
});
