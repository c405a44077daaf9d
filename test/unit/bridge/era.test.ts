// Where requests go that are of one era or the other, as it becomes known what the server speaks.
// Runs bridge/bridged.ts and era*.ts over a scripted server, with faces that only say that they were asked, on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import type { FakeReply } from '../../../src/upstream/fake.ts';
import type { UpstreamRequest, UpstreamSink } from '../../../src/upstream/upstream.ts';
import { Rig, type RigOptions } from '../../fixtures/era-rig.ts';
import { eventOf, eventStream, json } from '../../fixtures/lab.ts';
import { MODERN_META, messageOf } from '../../fixtures/messages.ts';

const DISCOVERED = json({
  jsonrpc: '2.0',
  id: 'sluice:era',
  result: { supportedVersions: ['2026-07-28'], capabilities: {}, resultType: 'complete' },
});
const error = (code: number, status: number, data?: unknown): FakeReply =>
  json({ jsonrpc: '2.0', id: null, error: { code, message: 'no', data } }, { status });
const NO_METHOD = error(-32601, 200);
const UNINITIALIZED = error(-32000, 400);
const NOT_LEGACY = error(-32022, 400, { supported: ['2026-07-28'] });
const ANSWER = json({ jsonrpc: '2.0', id: 5, result: { own: true } });
const INITIALIZED = json(
  { jsonrpc: '2.0', id: 1, result: { protocolVersion: '2025-11-25' } },
  { headers: { 'content-type': 'application/json', 'mcp-session-id': 'abc', 'x-any': 'lost' } },
);

/** A server by what it says to three things. */
function rig(discover: FakeReply, initialize: FakeReply, options: RigOptions = {}): Rig {
  return new Rig((method) => {
    if (method === 'server/discover') return discover;
    return method === 'initialize' ? initialize : ANSWER;
  }, options);
}

/** A modern request, for which the face begins a session at the server. */
async function faceAsks(one: Rig): Promise<ReturnType<Rig['modern']>> {
  const heard = one.modern();
  await one.settle();
  const face = one.modernFace;
  if (face === null) throw new Error('no face');
  const { bytes, envelope } = messageOf('{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}');
  const [like] = face.sent;
  if (like === undefined) throw new Error('nothing reached the face');
  face.parts.inner.send({ ...like, era: 'legacy', session: null, body: bytes, envelope }, DEAF);
  await one.settle();
  return heard;
}

/** Hears nothing. */
const DEAF: UpstreamSink = {
  onHead: () => undefined,
  onData: () => true,
  onEnd: () => undefined,
  onFail: () => undefined,
};

describe('a modern request', () => {
  test('reaches a modern server after one probe, and the next ones without', async () => {
    const one = rig(DISCOVERED, NOT_LEGACY);
    const first = one.modern();
    await one.settle();
    const second = one.modern();
    await one.settle();
    expect(one.methods).toEqual(['server/discover', 'tools/list', 'tools/list']);
    expect([first.text, second.text]).toEqual([first.text, first.text]);
    expect(first.text).toContain('own');
    expect(one.modernFace).toBeNull();
  });

  test('goes through the face when the server is legacy, and never reaches it itself', async () => {
    const one = rig(UNINITIALIZED, INITIALIZED);
    const first = one.modern('tools/call');
    await one.settle();
    const second = one.modern('tools/call');
    await one.settle();
    expect(one.methods).toEqual(['server/discover']);
    expect([first.text, second.text]).toEqual(['{"face":"modern"}', '{"face":"modern"}']);
  });

  test('the probe is a modern discover under the client’s credentials and none of its other headers', async () => {
    const one = rig(DISCOVERED, NOT_LEGACY, { spec: { forwardHeaders: ['authorization'] } });
    const headers = ['accept', 'x/y', 'mcp-method', 'tools/call', 'mcp-name', 'n', 'mcp-param-a', 'b'];
    one.modern('tools/call', { headers: [...headers, 'authorization', 'Bearer t', 'traceparent', '00-1'] });
    await one.settle();
    expect(one.server.sent[0]?.headers).toEqual([
      ...['accept', 'application/json, text/event-stream', 'mcp-protocol-version', '2026-07-28'],
      ...['mcp-method', 'server/discover', 'authorization', 'Bearer t', 'traceparent', '00-1'],
    ]);
    const body = JSON.parse(new TextDecoder().decode(one.server.sent[0]?.body));
    expect(body.params._meta['io.modelcontextprotocol/protocolVersion']).toBe('2026-07-28');
    expect(body.params._meta['io.modelcontextprotocol/clientCapabilities']).toEqual({});
  });

  test('a discover answered by an event stream counts as well', async () => {
    const message = { jsonrpc: '2.0', id: 'sluice:era', result: { supportedVersions: ['2026-07-28'] } };
    const note = { jsonrpc: '2.0', method: 'notifications/message', params: {} };
    const one = rig(eventStream([': hi\n\n', eventOf(note), eventOf(message)], { hang: true }), NOT_LEGACY);
    const heard = one.modern();
    await one.settle();
    expect(heard.text).toContain('own');
    expect(one.server.stats().busy).toBe(0);
  });

  test('all who wait share one probe, and are served in their order', async () => {
    const one = rig({ ...DISCOVERED, delayMs: 10 }, NOT_LEGACY);
    const all = Array.from({ length: 20 }, (_, n) => one.modern(`m/${n}`));
    await one.settle(5);
    expect(one.methods).toEqual(['server/discover']);
    expect(one.bridged.stats().waiting).toBe(20);
    await one.settle(10);
    expect(one.methods).toEqual(['server/discover', ...Array.from({ length: 20 }, (_, n) => `m/${n}`)]);
    expect(all.every((heard) => heard.ends === 1)).toBe(true);
    expect(one.bridged.stats().waiting).toBe(0);
  });

  test('they are bounded in number', async () => {
    const one = rig({ ...DISCOVERED, delayMs: 10 }, NOT_LEGACY, { spec: { queueDepthMax: 2 } });
    const all = [one.modern(), one.modern(), one.modern()];
    await one.settle(1);
    expect(all.map(({ outcome }) => outcome)).toEqual([0, 0, 'GW_UPSTREAM_BUSY']);
    await one.settle(20);
    expect(all.map(({ outcome }) => outcome)).toEqual([200, 200, 'GW_UPSTREAM_BUSY']);
  });

  test('one whose client leaves while it waits is never sent', async () => {
    const one = rig({ ...DISCOVERED, delayMs: 10 }, NOT_LEGACY);
    const gone = one.modern('tools/call');
    const stays = one.modern('tools/list');
    await one.settle(5);
    gone.call?.abort();
    gone.call?.abort();
    expect(one.bridged.stats().waiting).toBe(1);
    await one.settle(10);
    expect(one.methods).toEqual(['server/discover', 'tools/list']);
    expect([gone.ends, stays.outcome]).toEqual([0, 200]);
  });

  test('when the only one that waits leaves, the verdict is kept all the same', async () => {
    const one = rig({ ...DISCOVERED, delayMs: 10 }, NOT_LEGACY);
    one.modern().call?.abort();
    await one.settle(20);
    one.modern();
    await one.settle(1);
    expect(one.methods).toEqual(['server/discover', 'tools/list']);
  });

  test('deadlines hold while it waits, and what is left of the time goes along', async () => {
    const one = rig({ ...DISCOVERED, delayMs: 100 }, NOT_LEGACY);
    const short = one.modern('a', { timeoutMs: 50 });
    const long = one.modern('b', { timeoutMs: 1_000 });
    await one.settle(60);
    expect([short.outcome, long.outcome]).toEqual(['GW_UPSTREAM_TIMEOUT', 0]);
    await one.settle(60);
    expect([short.ends, long.outcome]).toEqual([1, 200]);
    expect(one.methods).toEqual(['server/discover', 'b']);
    const legacy = rig({ ...UNINITIALIZED, delayMs: 100 }, INITIALIZED);
    legacy.modern('c', { timeoutMs: 1_000 });
    await legacy.settle(200);
    const leftMs = legacy.modernFace?.sent[0]?.timeoutMs ?? 0;
    expect(leftMs).toBeGreaterThan(850);
    expect(leftMs).toBeLessThanOrEqual(900);
  });

  test('closing tells those who wait, and ends the probe', async () => {
    const one = rig({ hang: true }, NOT_LEGACY);
    const heard = one.modern();
    await one.settle(5);
    const closed = one.bridged.close(100);
    expect(heard.outcome).toBe('GW_UPSTREAM_CLOSING');
    const late = one.modern();
    await one.settle(5);
    expect(late.outcome).toBe('GW_UPSTREAM_CLOSING');
    await closed;
    expect(one.server.stats().busy).toBe(0);
  });
});

describe('no evidence', () => {
  const AUTH = { 'content-type': 'application/json', 'www-authenticate': 'Bearer resource_metadata="x"' };

  test('401: the client hears what the server said, and the next request asks anew', async () => {
    const said = { jsonrpc: '2.0', id: 'sluice:era', error: { code: -32000, message: 'who' } };
    const one = rig(json(said, { status: 401, headers: AUTH }), NOT_LEGACY);
    const heard = one.modern('tools/call', {}, 'mine');
    await one.settle();
    expect(heard.outcome).toBe(401);
    expect(heard.headers['www-authenticate']).toBe('Bearer resource_metadata="x"');
    expect(JSON.parse(heard.text)).toEqual({ ...said, id: 'mine' });
    one.modern();
    await one.settle();
    expect(one.methods).toEqual(['server/discover', 'server/discover']);
  });

  test('a body that is no message goes to the client as it is', async () => {
    const one = rig(json('{"error":"invalid_token"}', { status: 403, headers: AUTH }), NOT_LEGACY);
    const heard = one.modern();
    await one.settle();
    expect([heard.outcome, heard.text]).toEqual([403, '{"error":"invalid_token"}']);
  });

  const failures: readonly [string, FakeReply, string | number][] = [
    ['500', error(-32603, 500), 500],
    ['a page', { headers: { 'content-type': 'text/html' }, body: '<p>' }, 200],
    ['a connection that fails', { fail: 'GW_UPSTREAM_CONNECT' }, 'GW_UPSTREAM_CONNECT'],
    ['a connection that ends', { fail: 'GW_UPSTREAM_CLOSED' }, 'GW_UPSTREAM_CLOSED'],
    ['an open breaker', { fail: 'GW_UPSTREAM_OPEN' }, 'GW_UPSTREAM_OPEN'],
    ['a stream without a response', eventStream([': \n\n']), 'GW_UPSTREAM_CLOSED'],
    ['another request’s answer', json({ jsonrpc: '2.0', id: 8, result: {} }), 'GW_UPSTREAM_MESSAGE'],
    ['too much', { body: ['x'.repeat(LIMITS.eraReplyBytesMax), 'x'] }, 'GW_UPSTREAM_BODY_SIZE'],
    ['silence', { hang: true }, 'GW_UPSTREAM_TIMEOUT'],
  ];
  for (const [what, reply, outcome] of failures)
    test(`${what} of an HTTP server`, async () => {
      const one = rig(reply, NOT_LEGACY);
      const heard = one.modern();
      await one.settle(LIMITS.eraProbeMs + 1);
      expect(heard.outcome).toBe(outcome);
      expect(heard.ends).toBe(1);
      one.modern();
      await one.settle();
      expect(one.methods).toEqual(['server/discover', 'server/discover']);
    });

  test('a client that sends again in the same breath is asked for once more', async () => {
    let asks = 0;
    const one = new Rig((method) => {
      if (method !== 'server/discover') return ANSWER;
      return asks++ === 0 ? { fail: 'GW_UPSTREAM_CONNECT' } : DISCOVERED;
    });
    const first = one.modern();
    const again: ReturnType<Rig['modern']>[] = [];
    const { onFail } = first;
    first.onFail = (failure) => {
      onFail.call(first, failure);
      again.push(one.modern());
    };
    await one.settle();
    expect(again[0]?.outcome).toBe(200);
  });
});

describe('a process', () => {
  const stdio = { kind: 'stdio' as const };

  test('that answers discover is modern', async () => {
    const one = rig(DISCOVERED, NOT_LEGACY, stdio);
    one.modern();
    await one.settle();
    expect(one.methods).toEqual(['server/discover', 'tools/list']);
  });

  test('that does not know the method is legacy for good', async () => {
    const one = rig(NO_METHOD, INITIALIZED, stdio);
    const heard = one.modern();
    await one.settle();
    expect(heard.text).toBe('{"face":"modern"}');
    await one.settle(10 * LIMITS.eraNoMs);
    one.modern();
    await one.settle();
    expect(one.methods).toEqual(['server/discover']);
  });

  test('that dies of the question is legacy, and asked again after a while', async () => {
    const one = rig({ fail: 'GW_UPSTREAM_EXITED' }, INITIALIZED, stdio);
    const heard = one.modern();
    await one.settle();
    expect(heard.text).toBe('{"face":"modern"}');
    await one.settle(1.3 * LIMITS.eraNoMs);
    one.modern();
    await one.settle();
    expect(one.methods).toEqual(['server/discover', 'server/discover']);
  });

  test('that says nothing is legacy after a short while', async () => {
    const one = rig({ hang: true }, INITIALIZED, stdio);
    const heard = one.modern();
    await one.settle(LIMITS.eraProcessProbeMs - 1);
    expect(heard.ends).toBe(0);
    await one.settle(2);
    expect(heard.text).toBe('{"face":"modern"}');
    await one.settle(LIMITS.eraProbeMs);
    expect(one.server.stats().busy).toBe(0);
  });

  test('that was asked in vain is let go of, once nothing more can come of it', async () => {
    const answering = rig(NO_METHOD, INITIALIZED, stdio);
    answering.modern();
    await answering.settle();
    expect(answering.released).toBe(1);
    const silent = rig({ hang: true }, INITIALIZED, stdio);
    silent.modern();
    await silent.settle(LIMITS.eraProcessProbeMs + 1);
    expect(silent.released).toBe(0);
    await silent.settle(LIMITS.eraProbeMs);
    expect(silent.released).toBe(1);
    const modern = rig(DISCOVERED, NOT_LEGACY, stdio);
    modern.modern();
    await modern.settle();
    expect(modern.released).toBe(0);
  });

  test('that only starts slowly is modern once it answers', async () => {
    const one = rig({ ...DISCOVERED, delayMs: 2 * LIMITS.eraProcessProbeMs }, NOT_LEGACY, stdio);
    const early = one.modern();
    await one.settle(2 * LIMITS.eraProcessProbeMs + 1);
    const late = one.modern();
    await one.settle();
    expect([early.text, late.text.includes('own')]).toEqual(['{"face":"modern"}', true]);
  });

  test('that cannot be started is no evidence', async () => {
    const one = rig({ fail: 'GW_UPSTREAM_SPAWN' }, INITIALIZED, stdio);
    const heard = one.modern();
    await one.settle();
    expect(heard.outcome).toBe('GW_UPSTREAM_SPAWN');
    expect(one.modernFace).toBeNull();
  });

  test('that dies of initialize, but speaks modern, is served by the face', async () => {
    const one = rig(DISCOVERED, { fail: 'GW_UPSTREAM_EXITED' }, stdio);
    const heard = one.initialize();
    await one.settle();
    expect(heard.text).toBe('{"face":"legacy"}');
  });

  test('regression: that died of the probe, and refuses the face’s initialize as a modern server does, is asked again', async () => {
    let isWell = false;
    const one = new Rig((method) => {
      if (method === 'server/discover') return isWell ? DISCOVERED : { fail: 'GW_UPSTREAM_EXITED' };
      return method === 'initialize' ? NOT_LEGACY : ANSWER;
    }, stdio);
    expect((await faceAsks(one)).text).toBe('{"face":"modern"}');
    isWell = true;
    await one.settle(LIMITS.eraCalmMs + 1);
    await faceAsks(one);
    const next = one.modern();
    await one.settle();
    expect(next.text).toContain('own');
  });

  test('that dies of everything gives its own failure', async () => {
    const one = rig({ fail: 'GW_UPSTREAM_EXITED' }, { fail: 'GW_UPSTREAM_EXITED' }, stdio);
    const heard = one.initialize();
    await one.settle();
    expect([heard.outcome, heard.ends, one.legacyFace]).toEqual(['GW_UPSTREAM_EXITED', 1, null]);
  });
});

describe('initialize', () => {
  test('goes to a server that speaks legacy as it came, and back as it came', async () => {
    const one = rig(DISCOVERED, INITIALIZED);
    const heard = one.initialize();
    await one.settle();
    expect(one.methods).toEqual(['initialize']);
    expect([heard.text, heard.head?.sessionId, heard.head?.whole]).toEqual([
      String(INITIALIZED.body),
      'abc',
      true,
    ]);
    expect(heard.head?.contentLength).toBe(String(INITIALIZED.body).length);
  });

  test('an event stream passes event by event', async () => {
    const pieces = ['id: 0\ndata: \n\n', eventOf({ jsonrpc: '2.0', id: 1, result: {} })];
    const one = rig(DISCOVERED, eventStream(pieces, { gapMs: 10 }));
    const heard = one.initialize();
    await one.settle(11);
    expect([heard.text, heard.ends]).toEqual([pieces[0] ?? '', 0]);
    await one.settle(20);
    expect([heard.text, heard.ends]).toEqual([pieces.join(''), 1]);
  });

  test('a result that is very large passes', async () => {
    const large = `{"jsonrpc":"2.0","id":1,"result":{"x":"${'y'.repeat(2 * LIMITS.eraReplyBytesMax)}"}}`;
    const one = rig(DISCOVERED, {
      headers: { 'content-type': 'application/json' },
      body: [
        large.slice(0, 100),
        large.slice(100, LIMITS.eraReplyBytesMax + 9),
        large.slice(LIMITS.eraReplyBytesMax + 9),
      ],
    });
    const heard = one.initialize();
    await one.settle(5);
    expect([heard.text === large, heard.ends]).toEqual([true, 1]);
  });

  test('that a modern-only server refuses is served by the face, and so are the next, without asking', async () => {
    const one = rig(DISCOVERED, NOT_LEGACY);
    const first = one.initialize();
    await one.settle();
    const second = one.initialize();
    await one.settle();
    expect(one.methods).toEqual(['initialize', 'server/discover']);
    expect([first.text, second.text]).toEqual(['{"face":"legacy"}', '{"face":"legacy"}']);
    expect(first.ends).toBe(1);
  });

  test('modern clients profit from that', async () => {
    const one = rig(DISCOVERED, NOT_LEGACY);
    one.initialize();
    await one.settle();
    one.modern();
    await one.settle();
    expect(one.methods).toEqual(['initialize', 'server/discover', 'tools/list']);
  });

  test('that a server refuses which is not modern either: the client gets the server’s own answer', async () => {
    const one = rig(UNINITIALIZED, error(-32602, 400, { why: 1 }));
    const heard = one.initialize();
    await one.settle();
    expect([heard.outcome, JSON.parse(heard.text).error.code]).toEqual([400, -32602]);
    expect([one.methods, one.legacyFace]).toEqual([['initialize', 'server/discover'], null]);
  });

  test('and when the probe finds nothing out', async () => {
    const one = rig({ fail: 'GW_UPSTREAM_CONNECT' }, NOT_LEGACY);
    const heard = one.initialize();
    await one.settle();
    expect([heard.outcome, JSON.parse(heard.text).error.code]).toEqual([400, -32022]);
  });

  const plain: readonly [string, FakeReply, string | number][] = [
    ['401', error(-32000, 401), 401],
    ['500', error(-32603, 500), 500],
    ['an error in band', error(-32603, 200), 200],
    ['a failure', { fail: 'GW_UPSTREAM_CLOSED' }, 'GW_UPSTREAM_CLOSED'],
  ];
  for (const [what, reply, outcome] of plain)
    test(`${what} goes to the client without any probe`, async () => {
      const one = rig(DISCOVERED, reply);
      const heard = one.initialize();
      await one.settle();
      expect([heard.outcome, heard.ends, one.methods]).toEqual([outcome, 1, ['initialize']]);
    });

  test('one that is faulty does not make a server that speaks both eras a modern-only one', async () => {
    const one = new Rig((method, sent) => {
      if (method === 'server/discover') return DISCOVERED;
      return new TextDecoder().decode(sent.body).includes('faulty') ? error(-32602, 200) : INITIALIZED;
    });
    one.initialize({ faulty: true });
    await one.settle();
    const good = one.initialize();
    await one.settle();
    expect(good.text).toBe(String(INITIALIZED.body));
    // Now it is known to speak legacy: a faulty one gets its own answer.
    const faulty = one.initialize({ faulty: true });
    await one.settle();
    expect(JSON.parse(faulty.text).error.code).toBe(-32602);
    expect(one.legacyFace?.sent.length).toBe(1);
  });

  test('a client that leaves while the probe runs is not served', async () => {
    const one = rig({ ...DISCOVERED, delayMs: 10 }, NOT_LEGACY);
    const heard = one.initialize();
    await one.settle(5);
    heard.call?.abort();
    await one.settle(20);
    expect([heard.ends, one.legacyFace]).toEqual([0, null]);
  });

  test('its method may be spelled with escapes', async () => {
    const one = rig(DISCOVERED, NOT_LEGACY);
    const text = '{"jsonrpc":"2.0","id":1,"method":"\\u0069nitialize","params":{}}';
    const { bytes, envelope } = messageOf(text);
    const heard = one.send({ jsonrpc: '2.0', id: 1, method: 'x' }, { body: bytes, envelope });
    await one.settle();
    expect(heard.text).toBe('{"face":"legacy"}');
  });
});

describe('other legacy requests', () => {
  const call = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: {} };
  const to = async (rest: Partial<UpstreamRequest>): Promise<string> => {
    const one = rig(DISCOVERED, NOT_LEGACY);
    const heard = one.send(call, rest);
    await one.settle();
    return heard.text.includes('face') ? 'face' : one.methods.join();
  };

  test('of a session of the face', async () => expect(await to({ session: 'sluice~abc' })).toBe('face'));
  test('its stream and its end', async () => {
    expect(await to({ session: 'sluice~abc', verb: 'GET' })).toBe('face');
    expect(await to({ session: 'sluice~abc', verb: 'DELETE', envelope: null })).toBe('face');
  });
  test('of a session of the server', async () => expect(await to({ session: 'abc' })).toBe('tools/call'));
  test('a batch of either', async () => {
    expect(await to({ session: 'sluice~abc', envelope: null })).toBe('face');
    expect(await to({ session: 'abc', envelope: null })).toBe('tools/call');
  });
  test('without a session', async () => expect(await to({})).toBe('tools/call'));
});

describe('what is known', () => {
  test('a server that lacked the modern era is asked again later, while the face goes on serving', async () => {
    let now = UNINITIALIZED;
    const one = new Rig((method) => (method === 'server/discover' ? now : ANSWER));
    one.modern();
    await one.settle();
    now = { ...DISCOVERED, delayMs: 10 };
    await one.settle(0.7 * LIMITS.eraNoMs);
    one.modern();
    await one.settle();
    expect(one.methods).toEqual(['server/discover']);
    await one.settle(0.6 * LIMITS.eraNoMs);
    const during = one.modern();
    await one.settle();
    expect(during.text).toBe('{"face":"modern"}');
    await one.settle(20);
    const after = one.modern();
    await one.settle();
    expect(after.text).toContain('own');
    expect(one.methods).toEqual(['server/discover', 'server/discover', 'tools/list']);
  });

  test('when nothing is found out then, the old verdict stays, and the server is not asked at once again', async () => {
    let now = UNINITIALIZED;
    const one = new Rig((method) => (method === 'server/discover' ? now : ANSWER));
    one.modern();
    await one.settle();
    now = { fail: 'GW_UPSTREAM_CONNECT' };
    await one.settle(1.3 * LIMITS.eraNoMs);
    for (let i = 0; i < 3; i++) {
      const heard = one.modern();
      await one.settle();
      expect(heard.text).toBe('{"face":"modern"}');
    }
    expect(one.methods.length).toBe(2);
    await one.settle(LIMITS.eraCalmMs);
    one.modern();
    await one.settle();
    expect(one.methods.length).toBe(3);
  });

  test('a modern-only server gets an initialize again later: it may have learned the legacy era', async () => {
    let now = NOT_LEGACY;
    const one = new Rig((method) => {
      if (method === 'server/discover') return DISCOVERED;
      return method === 'initialize' ? now : ANSWER;
    });
    one.initialize();
    await one.settle();
    now = INITIALIZED;
    await one.settle(1.3 * LIMITS.eraNoMs);
    const heard = one.initialize();
    await one.settle();
    expect(heard.text).toBe(String(INITIALIZED.body));
  });

  test('a legacy server that was replaced by a modern one serves legacy clients at once', async () => {
    let isModern = false;
    const one = new Rig((method) => {
      if (method === 'initialize') return isModern ? NOT_LEGACY : INITIALIZED;
      return isModern ? DISCOVERED : UNINITIALIZED;
    });
    one.modern();
    one.initialize();
    await one.settle(LIMITS.eraCalmMs + 1);
    isModern = true;
    const heard = one.initialize();
    await one.settle();
    expect(heard.text).toBe('{"face":"legacy"}');
    one.modern();
    await one.settle();
    expect(one.methods.at(-1)).toBe('tools/list');
  });

  test('regression: a call that waits at a server which is found to be modern goes on where it began', async () => {
    let isModern = false;
    const one = new Rig((method) => {
      if (method !== 'server/discover') return ANSWER;
      return isModern ? DISCOVERED : UNINITIALIZED;
    });
    one.modern('tools/call');
    await one.settle();
    isModern = true;
    await one.settle(1.3 * LIMITS.eraNoMs);
    one.modern('tools/call');
    await one.settle();
    const face = one.modernFace;
    if (face === null) throw new Error('no face');
    face.ownMark = 'sealed by us';
    const goOn = (requestState: string) =>
      one.send(
        {
          jsonrpc: '2.0',
          id: 6,
          method: 'tools/call',
          params: { name: 'x', requestState, _meta: MODERN_META },
        },
        { era: 'modern' },
      );
    const [own, foreign] = [goOn('sealed by us'), goOn('of the server itself')];
    await one.settle();
    expect([own.text, foreign.text.includes('own')]).toEqual(['{"face":"modern"}', true]);
  });

  const downgrades: readonly [string, FakeReply][] = [
    ['400 of a server with sessions', UNINITIALIZED],
    ['404 with a page', { status: 404, headers: { 'content-type': 'text/html' }, body: 'no' }],
    ['-32601 in band', NO_METHOD],
  ];
  for (const [what, reply] of downgrades)
    test(`a modern server that begins to fail loudly is asked again: ${what}`, async () => {
      let isModern = true;
      const one = new Rig((method) => {
        if (isModern) return method === 'server/discover' ? DISCOVERED : ANSWER;
        return method === 'server/discover' ? UNINITIALIZED : reply;
      });
      one.modern();
      await one.settle(LIMITS.eraCalmMs + 1);
      one.bridged.sweep?.();
      isModern = false;
      const loud = one.modern();
      await one.settle();
      expect(loud.text).toBe(String(reply.body));
      const next = one.modern();
      await one.settle();
      expect(next.text).toBe('{"face":"modern"}');
    });

  test('one that merely refuses is not, nor is one that was asked a moment ago', async () => {
    let reply: FakeReply = error(-32602, 400);
    const one = new Rig((method) => (method === 'server/discover' ? DISCOVERED : reply));
    one.modern();
    await one.settle(LIMITS.eraCalmMs + 1);
    one.bridged.sweep?.();
    one.modern();
    await one.settle();
    expect(one.methods).toEqual(['server/discover', 'tools/list', 'tools/list']);
    reply = UNINITIALIZED;
    for (let i = 0; i < 3; i++) {
      one.bridged.sweep?.();
      one.modern();
      await one.settle();
    }
    expect(one.methods.filter((method) => method === 'server/discover').length).toBe(2);
  });

  test('a face’s requests are looked at as well', async () => {
    let isModern = true;
    const one = new Rig((method) => {
      if (method === 'initialize') return isModern ? NOT_LEGACY : INITIALIZED;
      return isModern ? DISCOVERED : UNINITIALIZED;
    });
    one.initialize();
    await one.settle(LIMITS.eraCalmMs + 1);
    one.bridged.sweep?.();
    isModern = false;
    const { legacyFace } = one;
    const request = legacyFace?.sent[0];
    if (legacyFace === null || request === undefined) throw new Error('no face');
    const silent = {
      onHead: () => undefined,
      onData: () => true,
      onEnd: () => undefined,
      onFail: () => undefined,
    };
    const { bytes, envelope } = messageOf('{"jsonrpc":"2.0","id":3,"method":"tools/list"}');
    legacyFace.parts.inner.send({ ...request, era: 'modern', body: bytes, envelope }, silent);
    await one.settle(5);
    const heard = one.initialize();
    await one.settle();
    expect(heard.text).toBe(String(INITIALIZED.body));
  });

  test('credentials have a verdict each, other headers have none', async () => {
    const one = new Rig(
      (method, sent) => {
        if (method !== 'server/discover') return ANSWER;
        return sent.headers.includes('Bearer new') ? DISCOVERED : UNINITIALIZED;
      },
      { spec: { forwardHeaders: ['authorization', 'user-agent'] } },
    );
    const as = async (token: string, agent: string): Promise<string> => {
      const heard = one.modern('tools/list', { headers: ['authorization', token, 'user-agent', agent] });
      await one.settle();
      return heard.text.includes('face') ? 'face' : 'server';
    };
    expect(await as('Bearer old', 'a')).toBe('face');
    expect(await as('Bearer new', 'a')).toBe('server');
    expect(await as('Bearer old', 'b')).toBe('face');
    expect(await as('Bearer new', 'b')).toBe('server');
    expect(one.methods.filter((method) => method === 'server/discover').length).toBe(2);
  });

  test('their number is bounded: the oldest are asked again', async () => {
    const one = new Rig((method) => (method === 'server/discover' ? DISCOVERED : ANSWER), {
      spec: { forwardHeaders: ['authorization'] },
    });
    const as = (n: number): void =>
      void one.modern('tools/list', { headers: ['authorization', `Bearer ${n}`] });
    for (let n = 0; n <= LIMITS.eraRecordsMax; n++) as(n);
    await one.settle();
    as(LIMITS.eraRecordsMax);
    await one.settle();
    const asked = (): number => one.methods.filter((method) => method === 'server/discover').length;
    expect(asked()).toBe(LIMITS.eraRecordsMax + 1);
    as(0);
    await one.settle();
    expect(asked()).toBe(LIMITS.eraRecordsMax + 2);
  });
});

describe('pins', () => {
  test('legacy: nothing is asked', async () => {
    const one = rig(DISCOVERED, INITIALIZED, { spec: { era: 'legacy' } });
    const modern = one.modern();
    one.initialize();
    await one.settle();
    expect([modern.text, one.methods]).toEqual(['{"face":"modern"}', ['initialize']]);
  });

  test('modern: nothing is asked, and everything legacy is the face’s', async () => {
    const one = rig(DISCOVERED, NOT_LEGACY, { spec: { era: 'modern' } });
    const first = one.initialize();
    const other = one.send({ jsonrpc: '2.0', id: 2, method: 'ping' });
    one.modern();
    await one.settle();
    expect([first.text, other.text, one.methods]).toEqual([
      '{"face":"legacy"}',
      '{"face":"legacy"}',
      ['tools/list'],
    ]);
  });
});
