// Modern requests on one shared child: ids, tokens, subscriptions, shapes, cancellation, deadlines, back-pressure.
// Run by bun test. Promises: the child is played by the test, so every order of events is chosen, none is awaited.
import { describe, expect, test } from 'bun:test';
import { encode } from '../../../src/base/bytes.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { REPLY_WAITING_BYTES_MAX } from '../../../src/upstream/stdio-reply.ts';
import {
  modern,
  requestOf,
  type Sent,
  StdioWorld,
  stdioSpec,
  type Wire,
} from '../../fixtures/stdio-world.ts';

const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';
const OK = { content: [], resultType: 'complete' };

function idOf(world: StdioWorld, at = -1): string | number {
  const id = world.child.got.at(at)?.id;
  if (id === undefined) throw new Error('that message has no id');
  return id;
}

function answer(world: StdioWorld, id: string | number, result: object = OK): void {
  world.child.say({ jsonrpc: '2.0', id, result });
}

describe('ids', () => {
  test.each([['1'], [1], ['"q'], [0], [-5], [9_007_199_254_740_991], [''], ['ü\u2028']])(
    '%j comes back as it was',
    (id) => {
      const world = new StdioWorld();
      const { caught } = world.send(modern(id, 'tools/call', { name: 'x' }));
      expect(world.child.last.id).toBeNumber();
      answer(world, idOf(world));
      expect(caught.json.id).toBe(id);
      expect(caught.head?.status).toBe(200);
      expect(caught.head?.media).toBe('json');
      expect(caught.head?.whole).toBe(true);
      expect(caught.head?.contentLength).toBe(
        caught.text.length + (typeof id === 'string' && id.startsWith('ü') ? 3 : 0),
      );
      expect(caught.head?.header('content-type')).toBe('application/json');
      expect(caught.ended).toBe(1);
    },
  );

  test('the raw spelling of the id survives, and every other byte of both messages', () => {
    const world = new StdioWorld();
    const { caught } = world.send(
      '{ "params" : {"name":"x","z":1.50e+01,"_meta":{"a":"\\u0061"}} ,"method":"tools\\/call" , "id" : "\\u0041b","jsonrpc":"2.0"}',
    );
    const id = idOf(world);
    expect(world.child.lines[0]).toBe(
      `{ "params" : {"name":"x","z":1.50e+01,"_meta":{"a":"\\u0061"}} ,"method":"tools\\/call" , "id" : ${id},"jsonrpc":"2.0"}`,
    );
    world.child.say(`{"result" :{"n":1.0E5, "u":"\\u00e9"},"id":${id} , "jsonrpc":"2.0","x":[ ]}`);
    expect(caught.text).toBe(
      '{"result" :{"n":1.0E5, "u":"\\u00e9"},"id":"\\u0041b" , "jsonrpc":"2.0","x":[ ]}',
    );
  });

  test("two clients with the same id each get their own answer, and the proxy's edits are applied", () => {
    const world = new StdioWorld();
    const text = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"s__x"}}';
    const at = text.indexOf('"s__x"');
    const first = world.send(text, { edits: [{ start: at, end: at + 6, insert: encode('"x"') }] });
    const second = world.send(text);
    expect(world.child.got.map((message) => message.params.name)).toEqual(['x', 's__x']);
    expect(idOf(world, 0)).not.toBe(idOf(world, 1));
    answer(world, idOf(world, 1), { n: 2 });
    answer(world, idOf(world, 0), { n: 1 });
    expect(first.caught.json).toEqual<unknown>({ jsonrpc: '2.0', id: 1, result: { n: 1 } });
    expect(second.caught.json).toEqual<unknown>({ jsonrpc: '2.0', id: 1, result: { n: 2 } });
  });

  test('a client that guesses or repeats ids cannot be answered in the name of another', () => {
    const world = new StdioWorld();
    const { caught } = world.send('{"jsonrpc":"2.0","id":7,"method":"tools/call","id":8}');
    expect(caught.failed?.code).toBe('GW_SCAN_DUPLICATE');
    const victim = world.send(modern(1, 'tools/call'));
    const id = Number(idOf(world));
    for (const other of [
      String(id + 1),
      String(id - 1),
      '1',
      '7',
      '8',
      'null',
      `${id}.0`,
      `"x${id}"`,
      '{}',
    ]) {
      world.child.say(`{"jsonrpc":"2.0","id":${other},"result":{}}`);
    }
    expect(victim.caught.head).toBeNull();
    answer(world, id);
    expect(victim.caught.ended).toBe(1);
  });

  test('a reply whose id appears twice fails its call', () => {
    const world = new StdioWorld();
    const { caught } = world.send(modern(1, 'tools/call'));
    world.child.say(`{"jsonrpc":"2.0","id":5,"result":{},"id":${idOf(world)}}`);
    expect(caught.failed?.code).toBe('GW_UPSTREAM_MESSAGE');
  });

  test('a child that spells the id as a string of its digits is understood', () => {
    const world = new StdioWorld();
    const { caught } = world.send(modern(1, 'tools/call'));
    answer(world, String(idOf(world)));
    expect(caught.json.id).toBe(1);
  });
});

describe('shape of the reply', () => {
  test.each([
    [-32601, 404],
    [-32700, 400],
    [-32600, 400],
    [-32020, 400],
    [-32021, 400],
    [-32022, 400],
    [-32602, 200],
    [-32603, 200],
    [-32000, 200],
    [1, 200],
  ])('error %d is status %d', (code, status) => {
    const world = new StdioWorld();
    const { caught } = world.send(modern('e', 'tools/call'));
    world.child.say({ jsonrpc: '2.0', id: idOf(world), error: { code, message: 'no' } });
    expect(caught.head?.status).toBe(status);
    expect(caught.json.error?.code).toBe(code);
    expect(caught.json.id).toBe('e');
  });

  test('progress first makes an event stream; the token comes back as it was', () => {
    const world = new StdioWorld();
    const { caught } = world.send(modern(1, 'tools/call', {}, { progressToken: 'tök' }));
    const token = world.child.last.params._meta.progressToken;
    expect(token).toBe(idOf(world));
    world.child.say({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: token, progress: 1 },
    });
    expect(caught.head?.media).toBe('event-stream');
    expect(caught.head?.whole).toBe(false);
    world.child.say({ jsonrpc: '2.0', id: idOf(world), error: { code: -32601, message: 'no' } });
    expect(caught.head?.status).toBe(200);
    expect(caught.events.map((line) => JSON.parse(line))).toEqual([
      { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 'tök', progress: 1 } },
      { jsonrpc: '2.0', id: 1, error: { code: -32601, message: 'no' } },
    ]);
    expect(caught.ended).toBe(1);
  });

  test('progress reaches only the call of its token; unknown tokens and calls without one get none', () => {
    const world = new StdioWorld();
    const first = world.send(modern(1, 'tools/call', {}, { progressToken: 5 }));
    const second = world.send(modern(2, 'tools/call'));
    const say = (token: unknown): void => {
      world.child.say({
        jsonrpc: '2.0',
        method: 'notifications/progress',
        params: { progressToken: token, progress: 1 },
      });
    };
    say(5);
    say(idOf(world, 1));
    say('x');
    expect([first.caught.head, second.caught.head]).toEqual([null, null]);
    say(idOf(world, 0));
    expect(first.caught.events).toHaveLength(1);
    expect(second.caught.head).toBeNull();
  });

  test('a batch printed by the child is taken apart', () => {
    const world = new StdioWorld();
    const first = world.send(modern(1, 'tools/call', {}, { progressToken: 't' }));
    const second = world.send(modern('2', 'tools/call'));
    const token = idOf(world, 0);
    world.child.say([
      { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: token, progress: 1 } },
      { jsonrpc: '2.0', id: idOf(world, 1), result: { n: '],[' } },
      { jsonrpc: '2.0', id: token, result: {} },
    ]);
    world.child.say('[1, [], "x", null]');
    expect(first.caught.events).toHaveLength(2);
    expect(second.caught.json).toEqual<unknown>({ jsonrpc: '2.0', id: '2', result: { n: '],[' } });
  });

  test('junk, empty lines and CRLF change nothing', () => {
    const world = new StdioWorld();
    const { caught } = world.send(modern(1, 'tools/call'));
    world.child.print('\n\r\n   \nStarting server…\n{"half":\n[]\n"text"\n\u0000\n');
    world.child.print(Uint8Array.of(0xff, 0xfe, 10));
    world.child.print(`{"jsonrpc":"2.0","id":${idOf(world)},"result":{}}\r\n`);
    expect(caught.text).toBe('{"jsonrpc":"2.0","id":1,"result":{}}');
  });

  test('CR between tokens does not cut an event', () => {
    const world = new StdioWorld();
    const { caught } = world.send(modern(1, 'tools/call', {}, { progressToken: 1 }));
    const token = idOf(world);
    world.child.say(`{"method":"notifications/progress",\r"params":{"progressToken":${token},"progress":1}}`);
    expect(JSON.parse(caught.events[0] ?? '')).toEqual({
      method: 'notifications/progress',
      params: { progressToken: 1, progress: 1 },
    });
  });
});

describe('notifications that name no call', () => {
  const log = (data: string): Wire => ({
    jsonrpc: '2.0',
    method: 'notifications/message',
    params: { level: 'info', data },
  });
  const LEVEL = { 'io.modelcontextprotocol/logLevel': 'info' };

  test('log messages go to the only call that asked for them', () => {
    const world = new StdioWorld();
    const quiet = world.send(modern(1, 'tools/call'));
    world.child.say(log('nobody asked'));
    const asker = world.send(modern(2, 'tools/call', {}, LEVEL));
    world.child.say(log('one asked'));
    const other = world.send(modern(3, 'tools/call', {}, LEVEL));
    world.child.say(log('two asked'));
    expect(quiet.caught.head).toBeNull();
    expect(other.caught.head).toBeNull();
    expect(asker.caught.events.map((line) => JSON.parse(line).params.data)).toEqual(['one asked']);
  });

  test('others go to a call that is alone on the pipe; changes of lists go to nobody', () => {
    const world = new StdioWorld();
    const first = world.send(modern(1, 'tools/call'));
    world.child.say({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    world.child.say({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'a:b' } });
    expect(first.caught.head).toBeNull();
    world.child.say({ jsonrpc: '2.0', method: 'notifications/x.example/strange' });
    expect(first.caught.events).toHaveLength(1);
    world.send(modern(2, 'tools/call'));
    world.child.say({ jsonrpc: '2.0', method: 'notifications/x.example/strange' });
    expect(first.caught.events).toHaveLength(1);
  });

  test('a request of the child is refused to the child, a ping is answered', () => {
    const world = new StdioWorld();
    const { caught } = world.send(modern(1, 'tools/call'));
    world.child.say({ jsonrpc: '2.0', id: 'r"1', method: 'sampling/createMessage', params: {} });
    expect(world.child.last).toMatchObject({ id: 'r"1', error: { code: -32601 } });
    world.child.say({ jsonrpc: '2.0', id: 3, method: 'ping' });
    expect(world.child.last).toEqual<unknown>({ jsonrpc: '2.0', id: 3, result: {} });
    expect(caught.head).toBeNull();
  });
});

describe('subscriptions', () => {
  function listen(world: StdioWorld, id: string | number): Sent & { tag: string | number } {
    const sent = world.send(
      modern(id, 'subscriptions/listen', { notifications: { toolsListChanged: true } }),
    );
    return { ...sent, tag: idOf(world) };
  }
  const tagged = (tag: unknown, method: string): Wire => ({
    jsonrpc: '2.0',
    method,
    params: { _meta: { [SUBSCRIPTION]: tag } },
  });

  test('each listen hears what bears its tag, under its own id, to the result that ends it', () => {
    const world = new StdioWorld();
    const first = listen(world, 'listen:0');
    const second = listen(world, 7);
    world.child.say(tagged(first.tag, 'notifications/subscriptions/acknowledged'));
    world.child.say(tagged(second.tag, 'notifications/subscriptions/acknowledged'));
    world.child.say(tagged(second.tag, 'notifications/tools/list_changed'));
    world.child.say(tagged(99, 'notifications/tools/list_changed'));
    expect(first.caught.events.map((line) => JSON.parse(line))).toEqual([
      tagged('listen:0', 'notifications/subscriptions/acknowledged'),
    ]);
    expect(second.caught.events.map((line) => JSON.parse(line))).toEqual([
      tagged(7, 'notifications/subscriptions/acknowledged'),
      tagged(7, 'notifications/tools/list_changed'),
    ]);
    const result = { _meta: { other: [1], [SUBSCRIPTION]: first.tag }, resultType: 'complete' };
    world.child.say({ jsonrpc: '2.0', id: first.tag, result });
    expect(first.caught.answer).toEqual<unknown>({
      jsonrpc: '2.0',
      id: 'listen:0',
      result: { ...result, _meta: { other: [1], [SUBSCRIPTION]: 'listen:0' } },
    });
    expect(first.caught.ended).toBe(1);
    expect(second.caught.ended).toBe(0);
  });

  test('a listen that the child cancels ends with that notification', () => {
    const world = new StdioWorld();
    const { caught, tag } = listen(world, 'L');
    world.child.say({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: tag, reason: 'bye' },
    });
    expect(caught.answer.params).toEqual<unknown>({ requestId: 'L', reason: 'bye' });
    expect(caught.ended).toBe(1);
  });

  test('the child cannot cancel what is no listen', () => {
    const world = new StdioWorld();
    const { caught } = world.send(modern(1, 'tools/call'));
    world.child.say({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: idOf(world) },
    });
    expect(caught.head).toBeNull();
    answer(world, idOf(world));
    expect(caught.head?.media).toBe('json');
  });

  test('leaving a listen cancels it at the child by the id that the child knows', () => {
    const world = new StdioWorld();
    const { call, caught, tag } = listen(world, 'L');
    world.child.say(tagged(tag, 'notifications/subscriptions/acknowledged'));
    call.abort();
    expect(world.child.last).toMatchObject({ method: 'notifications/cancelled', params: { requestId: tag } });
    world.child.say(tagged(tag, 'notifications/tools/list_changed'));
    expect(caught.events).toHaveLength(1);
    expect(caught.over).toBe(false);
  });

  test('a listen has no deadline, a refused one is a plain reply', () => {
    const world = new StdioWorld();
    const { caught, tag } = listen(world, 'L');
    world.clock.advance(10 * 60_000);
    expect(caught.over).toBe(false);
    world.child.say({ jsonrpc: '2.0', id: tag, error: { code: -32601, message: 'no' } });
    expect(caught.head?.status).toBe(404);
  });
});

describe('leaving and deadlines', () => {
  test('abort cancels at the child; a late reply reaches nobody', () => {
    const world = new StdioWorld();
    const { call, caught } = world.send(modern('a', 'tools/call', {}, { progressToken: 1 }));
    const id = idOf(world);
    call.abort();
    call.abort();
    expect(world.child.got.slice(1)).toEqual<unknown>([
      {
        jsonrpc: '2.0',
        method: 'notifications/cancelled',
        params: { requestId: id, reason: 'the client left' },
      },
    ]);
    answer(world, id);
    expect(caught.over).toBe(false);
    expect(caught.head).toBeNull();
    expect(world.upstream.stats().busy).toBe(0);
  });

  test('the first message has a deadline, the earlier of the two; the child is told', () => {
    const world = new StdioWorld({ spec: { ...stdioSpec('x', [], {}), firstByteTimeoutMs: 500 } });
    const slow = world.send(modern(1, 'tools/call'));
    const early = world.send(modern(2, 'tools/call'), { timeoutMs: 100 });
    const late = world.send(modern(3, 'tools/call'), { timeoutMs: 9_000 });
    const ids = world.child.got.map((message) => message.id);
    world.clock.advance(120);
    expect(early.caught.failed?.code).toBe('GW_UPSTREAM_TIMEOUT');
    expect(slow.caught.over).toBe(false);
    world.clock.advance(400);
    expect(slow.caught.failed?.code).toBe('GW_UPSTREAM_TIMEOUT');
    expect(late.caught.failed?.code).toBe('GW_UPSTREAM_TIMEOUT');
    expect(world.child.got.slice(3).map((message) => message.params.requestId)).toEqual<unknown>([
      ids[1],
      ids[0],
      ids[2],
    ]);
  });

  test('progress lifts the deadline', () => {
    const world = new StdioWorld();
    const { caught } = world.send(modern(1, 'tools/call', {}, { progressToken: 1 }), { timeoutMs: 100 });
    const token = idOf(world);
    world.clock.advance(50);
    world.child.say({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: token, progress: 1 },
    });
    world.clock.advance(60_000);
    expect(caught.over).toBe(false);
    answer(world, token);
    expect(caught.ended).toBe(1);
  });

  test('no timer runs once nothing waits', () => {
    const world = new StdioWorld({ spec: stdioSpec('played', [], {}, { idleMs: 0 }) });
    for (let i = 0; i < 3; i++) {
      world.send(modern(i, 'tools/call'));
      answer(world, idOf(world));
    }
    world.clock.advance(LIMITS.firstByteTimeoutMs);
    expect(world.clock.pending).toBe(0);
  });
});

describe('what clients send besides requests', () => {
  test('a notification is passed on and taken', () => {
    const world = new StdioWorld();
    const { caught } = world.send({ jsonrpc: '2.0', method: 'notifications/x', params: { a: 1 } });
    expect(caught.head?.status).toBe(202);
    expect(caught.head?.media).toBe('none');
    expect(caught.text).toBe('');
    expect(world.child.lines).toEqual(['{"jsonrpc":"2.0","method":"notifications/x","params":{"a":1}}']);
  });

  test("a cancel by id is taken but not passed on: another client's call may bear the same id", () => {
    const world = new StdioWorld();
    const { caught: victim } = world.send(modern(1, 'tools/call'));
    const { caught } = world.send({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 1 },
    });
    expect(caught.head?.status).toBe(202);
    expect(world.child.lines).toHaveLength(1);
    answer(world, idOf(world));
    expect(victim.ended).toBe(1);
  });

  test('edits that overlap the id end the exchange, not the gateway', () => {
    const world = new StdioWorld();
    const text = '{"id":1,"method":"tools/call"}';
    const { caught } = world.send(text, { edits: [{ start: 1, end: 8, insert: encode('') }] });
    expect(caught.failed?.code).toBe('GW_BASE_INTERNAL');
    expect(world.send(modern(2, 'tools/call')).caught.over).toBe(false);
  });

  test('responses and batches are refused', () => {
    const world = new StdioWorld();
    expect(world.send({ jsonrpc: '2.0', id: 1, result: {} }).caught.failed?.code).toBe('GW_MCP_MESSAGE');
    expect(world.send('[{"jsonrpc":"2.0","id":1,"method":"ping"}]').caught.failed?.code).toBe('GW_MCP_BATCH');
    expect(world.children).toHaveLength(0);
  });

  test('newlines between tokens never become a second line', () => {
    const world = new StdioWorld();
    const body = '{\n"jsonrpc":"2.0",\r\n"id":1,\n"method":"tools/call"\n,"params":{"name":\n"x"}}\n';
    const { caught } = world.send(body);
    expect(world.child.lines).toHaveLength(1);
    expect(world.child.last).toMatchObject({ method: 'tools/call', params: { name: 'x' } });
    answer(world, idOf(world));
    expect(caught.json.id).toBe(1);
    const insert = encode('"a\n{}"');
    const broken = world.send('{"id":1,"method":"x","params":{"name":"n"}}', {
      edits: [{ start: 38, end: 41, insert }],
    });
    expect(broken.caught.failed?.code).toBe('GW_MCP_LINE');
    expect(world.child.lines).toHaveLength(1);
  });
});

describe('bounds', () => {
  test('calls in flight are bounded; the refused one never reached the child', () => {
    const world = new StdioWorld({ spec: { ...stdioSpec('x', [], {}), queueDepthMax: 3 } });
    const sent = [1, 2, 3, 4].map((id) => world.send(modern(id, 'tools/call')));
    expect(sent.map(({ caught }) => caught.failed?.code)).toEqual([
      undefined,
      undefined,
      undefined,
      'GW_UPSTREAM_BUSY',
    ]);
    expect(world.child.lines).toHaveLength(3);
    answer(world, idOf(world));
    expect(world.send(modern(5, 'tools/call')).caught.over).toBe(false);
  });

  test('bytes that wait for a child that does not read are bounded; the rest goes out when it reads again', () => {
    const world = new StdioWorld();
    world.send(modern(0, 'tools/call'));
    world.child.reads = false;
    const big = 'x'.repeat(4 * 1024 * 1024 - 1_000);
    const sent = Array.from({ length: 10 }, (_, id) => world.send(modern(id, 'tools/call', { big })));
    const refused = sent.filter(({ caught }) => caught.failed?.code === 'GW_UPSTREAM_BUSY');
    expect(refused).toHaveLength(2);
    expect(world.child.writes).toHaveLength(2);
    world.child.drain();
    expect(world.child.writes).toHaveLength(3);
    expect(world.child.lines).toHaveLength(9);
    expect(world.send(modern(11, 'tools/call', { big })).caught.over).toBe(false);
  });

  test('the lines of one turn are one write', () => {
    const world = new StdioWorld();
    world.send(modern(0, 'tools/call'));
    const before = world.child.writes.length;
    for (let id = 1; id <= 5; id++) world.upstream.send(requestOf(modern(id, 'tools/call')), nobody);
    world.clock.turn();
    expect(world.child.writes.length - before).toBe(1);
    expect(world.child.lines).toHaveLength(6);
  });

  test('a client that does not read holds up nobody else, and is let go when it holds too much', () => {
    const world = new StdioWorld();
    const slow = world.send(modern(1, 'tools/call', {}, { progressToken: 's' }));
    const other = world.send(modern(2, 'tools/call'));
    slow.caught.takes = false;
    const [slowId, otherId] = world.child.got.map((message) => message.id ?? -1);
    const progress = (note: string): void => {
      const params = { progressToken: slowId, progress: 1, message: note };
      world.child.say({ jsonrpc: '2.0', method: 'notifications/progress', params });
    };
    for (let n = 0; n < 5; n++) progress(String(n));
    expect(slow.caught.events).toHaveLength(1);
    answer(world, otherId ?? -1);
    expect(other.caught.ended).toBe(1);
    slow.caught.takes = true;
    slow.call.resume();
    expect(slow.caught.events).toHaveLength(5);
    slow.caught.takes = false;
    progress('last one that goes through');
    const mega = 'x'.repeat(1024 * 1024);
    for (let n = 0; n < REPLY_WAITING_BYTES_MAX / mega.length + 1; n++) progress(mega);
    expect(slow.caught.failed?.code).toBe('GW_UPSTREAM_OVERRUN');
    expect(world.child.last).toMatchObject({
      method: 'notifications/cancelled',
      params: { requestId: slowId },
    });
  });

  test('a paused client gets its answer after resume, in order', () => {
    const world = new StdioWorld();
    const { caught, call } = world.send(modern(1, 'tools/call', {}, { progressToken: 's' }));
    caught.takes = false;
    const id = idOf(world);
    for (const progress of [1, 2]) {
      world.child.say({
        jsonrpc: '2.0',
        method: 'notifications/progress',
        params: { progressToken: id, progress },
      });
    }
    answer(world, id);
    expect(caught.over).toBe(false);
    call.resume();
    expect(caught.over).toBe(false);
    caught.takes = true;
    call.resume();
    expect(caught.ended).toBe(1);
    expect(caught.events).toHaveLength(3);
    expect(caught.answer.id).toBe(1);
  });
});

const nobody = {
  onHead: () => undefined,
  onData: () => true,
  onEnd: () => undefined,
  onFail: () => undefined,
};
