// Session ids on their way in and out: what clients see, what servers see, and what becomes of an id that does not open.
// Runs bridge/handles.ts with the pipeline and the front over a lab; real processes belong to test/e2e.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { Handles } from '../../../src/bridge/handles.ts';
import { ANY_WORKER, type Handle } from '../../../src/bridge/seal.ts';
import { SILENT } from '../../../src/observe/log.ts';
import { Front } from '../../../src/server/http.ts';
import type { Home } from '../../../src/snapshot.ts';
import { FakeInbound } from '../../fixtures/inbound.ts';
import { INITIALIZE, json, jsonOf, Lab, legacyScript, Seen, textResult } from '../../fixtures/lab.ts';
import { modernHeaders, modernRequest } from '../../fixtures/messages.ts';

const CALL = { jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name: 't' } };
const JSON_TYPE = { 'content-type': 'application/json' };

/** A server with sessions that repeats the id with every reply, as the official SDK's do. */
const repeating = (name = 'a') =>
  legacyScript(name, (message, sent) => ({
    ...textResult(message, sent.session ?? 'none'),
    headers: { ...JSON_TYPE, 'mcp-session-id': sent.session ?? 'other' },
  }));

const opened = (lab: Lab, text: string | undefined, endpoint = '/mcp'): Handle | null =>
  lab.sealer.open(text ?? '', { endpoint, principal: '' });

describe('one server', () => {
  test.each([
    ['http', ANY_WORKER, 0],
    ['stdio', 0, 1],
  ] as const)(
    '%s: the client gets a sealed id that says its home, the server its own',
    async (single, worker, generation) => {
      const lab = new Lab({ servers: { a: repeating() }, single });
      const session = await lab.initialize();
      expect(session).not.toContain('a-s1');
      const handle = opened(lab, session);
      expect(handle).toMatchObject({
        kind: 'session',
        node: 0,
        worker,
        generation,
        inner: 'a-s1',
      });
      const lifeS = (handle?.expiresAtS ?? 0) - lab.sim.clock.wall() / 1000;
      expect(lifeS / (LIMITS.handleLifeMs / 1000)).toBeCloseTo(1, 3);
      const seen = lab.post(CALL, { session });
      await lab.sim.advance(10);
      expect([seen.status, seen.text.includes('a-s1')]).toEqual([200, true]);
      // The id came back with the reply: the client keeps the handle it has.
      expect(seen.headers['mcp-session-id']).toBe(session);
      expect(lab.fake('a').sent.map((sent) => sent.session)).toEqual([null, 'a-s1', 'a-s1']);
    },
  );

  test('an id that the server gives anew is sealed anew', async () => {
    const lab = new Lab({
      servers: {
        a: (sent) =>
          json(
            { jsonrpc: '2.0', id: jsonOf(sent.body).id, result: {} },
            {
              headers: { ...JSON_TYPE, 'mcp-session-id': 'second' },
            },
          ),
      },
      single: 'http',
    });
    const seen = lab.post(CALL, { session: lab.sealed('first') });
    await lab.sim.advance(10);
    expect(lab.unsealed(seen.headers['mcp-session-id'])).toBe('second');
  });

  test('what does not open is 404 for every verb and kind of legacy message, and reaches no server', async () => {
    const lab = new Lab({ servers: { a: repeating() }, single: 'http' });
    const note = { jsonrpc: '2.0', method: 'notifications/x' };
    const seen = ['a-s1', '', 'x'.repeat(200), `${lab.sealed('a-s1')}A`].flatMap((session) => [
      lab.post(CALL, { session }),
      lab.post(note, { session }),
      lab.post({ jsonrpc: '2.0', id: 1, result: {} }, { session }),
      lab.post([CALL, note], { session }),
      lab.get(session),
      lab.delete(session),
    ]);
    await lab.sim.advance(10);
    for (const one of seen)
      expect([one.status, one.json.error]).toMatchObject([404, { data: { gw: 'GW_SESSION_UNKNOWN' } }]);
    expect(seen[0]?.json.id).toBe(5);
    expect(lab.fake('a').sent).toEqual([]);
  });

  test('initialize begins a new session whatever its client still shows; modern requests have none', async () => {
    const lab = new Lab({ servers: { a: repeating() }, single: 'http' });
    const again = lab.post(INITIALIZE, { session: 'stale' });
    const modern = lab.modern(1, 'tools/call', { name: 't' }, { session: 'stale' });
    await lab.sim.advance(10);
    expect([again.status, modern.status]).toEqual([200, 200]);
    expect(lab.fake('a').sent.map((sent) => sent.session)).toEqual([null, null]);
  });
});

describe('an aggregate', () => {
  test('the elements of a batch share the session of their request', async () => {
    const lab = new Lab({ servers: { a: repeating('a'), b: repeating('b') } });
    const session = await lab.initialize();
    const call = { ...CALL, params: { name: 'b__t' } };
    const good = lab.post([call, { ...call, id: 6 }], { session });
    const lost = lab.post([call, { ...call, id: 6 }], { session: 'stale' });
    await lab.sim.advance(10);
    expect([good.status, (good.json as unknown as unknown[]).length]).toEqual([200, 2]);
    expect(lost.status).toBe(404);
    expect((lost.json as unknown as { id: number }[]).map((one) => one.id)).toEqual([5, 6]);
  });
});

describe('the front', () => {
  const SELF: Home = { node: 0, worker: 2, generation: 4 };

  function frontOf() {
    const lab = new Lab({ servers: { a: repeating() }, single: 'stdio' });
    const handles = new Handles(lab.sealer, lab.sim.clock, SELF);
    const { snapshot, pipeline } = lab;
    const front = new Front({
      snapshot,
      pipeline,
      handles,
      scanner: lab.scanner,
      clock: lab.sim.clock,
      log: SILENT,
      newId: () => 'id',
    });
    const sealedFor = (home: Partial<Home>, endpoint = '/mcp', principal = ''): string =>
      lab.sealer.seal(
        { kind: 'session', ...SELF, ...home, expiresAtS: 4_000_000_000, inner: 'a-s1' },
        { endpoint, principal },
      );
    const send = async (
      path: string,
      session: string,
      headers: Record<string, string> = JSON_TYPE,
      body: string = JSON.stringify(CALL),
    ): Promise<Seen> => {
      const promise = Promise.resolve(
        front.handle(new FakeInbound('POST', path, { ...headers, 'mcp-session-id': session }, body)),
      );
      await lab.sim.advance(10);
      const seen = new Seen();
      seen.take(await promise);
      return seen;
    };
    return { lab, send, sealedFor, front };
  }

  test('serves sessions of this worker’s life and of every worker, and of no other', async () => {
    const { send, sealedFor, lab } = frontOf();
    for (const home of [{}, { worker: ANY_WORKER }, { worker: ANY_WORKER, node: 9, generation: 9 }])
      expect((await send('/mcp', sealedFor(home))).status).toBe(200);
    const sent = lab.fake('a').sent.length;
    for (const home of [{ worker: 1 }, { generation: 3 }, { generation: 5 }, { node: 1 }]) {
      const seen = await send('/mcp', sealedFor(home));
      expect([seen.status, seen.json.error]).toMatchObject([404, { data: { gw: 'GW_SESSION_UNKNOWN' } }]);
    }
    expect(lab.fake('a').sent.length).toBe(sent);
  });

  test('a handle of one endpoint, or of somebody, is none at another endpoint or for somebody else', async () => {
    const { send, sealedFor, lab } = frontOf();
    for (const session of [sealedFor({}, '/mcp/a'), sealedFor({}, '/mcp', 'somebody')])
      expect((await send('/mcp', session)).status).toBe(404);
    expect(lab.fake('a').sent).toEqual([]);
  });

  test('a modern request is served here, whatever session it shows', async () => {
    const { send, sealedFor } = frontOf();
    const body = modernRequest(1, 'tools/call', { name: 't' });
    const headers = modernHeaders('tools/call', 't');
    for (const session of [sealedFor({ worker: 1 }), 'stale', sealedFor({}, '/mcp/a')])
      expect((await send('/mcp', session, headers, body)).status).toBe(200);
  });
});
