// Which era and which session an aggregate of legacy servers takes a request for, and how many sessions there are.
// Runs proxy/aggregate-legacy.ts and what it uses over fake upstreams on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { INITIALIZE, json, jsonOf, Lab, legacyScript } from '../../fixtures/lab.ts';

const _call = (id: unknown, name: string): object => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name },
});
const list = (id: unknown, method = 'tools/list'): object => ({ jsonrpc: '2.0', id, method });

describe('eras', () => {
  test('a modern client that opens or ends a session learns that the method is not for it', () => {
    const lab = new Lab({ servers: { a: legacyScript('a') } });
    for (const seen of [
      lab.get(null, { protocolVersion: '2026-07-28' }),
      lab.delete(null, { protocolVersion: '2026-07-28' }),
    ])
      expect([seen.status, seen.headers.allow]).toEqual([405, 'POST']);
    expect(lab.get(null).status).toBe(400);
    expect(lab.delete('unknown', { protocolVersion: '2026-07-28' }).status).toBe(404);
  });

  test('a session id on a modern request is not looked at; an unknown version is refused', async () => {
    const lab = new Lab({
      servers: { a: (sent) => json({ jsonrpc: '2.0', id: jsonOf(sent.body).id, result: {} }) },
    });
    const seen = lab.modern(1, 'tools/call', { name: 'a__x' }, { session: 'unknown' });
    await lab.sim.advance(10);
    expect(seen.status).toBe(200);
    expect(lab.fake('a').sent[0]?.session).toBeNull();
    expect(lab.post(list(1), { protocolVersion: '2020-01-01' }).json.error?.code).toBe(-32022);
  });

  test('a session is known at its own endpoint only, and no longer after its end', async () => {
    const lab = new Lab({ servers: { a: legacyScript('a') } });
    const other = new Lab({ servers: { a: legacyScript('a') } });
    const session = await lab.initialize();
    expect(other.post(list(1), { session }).status).toBe(404);
    expect(lab.delete(session).status).toBe(200);
    expect(lab.delete(session).status).toBe(404);
    expect(lab.post(list(1), { session }).status).toBe(404);
    expect(lab.post({ jsonrpc: '2.0', id: 1, method: 'ping' }, { session }).status).toBe(404);
    expect(lab.post({ jsonrpc: '2.0', id: 1, method: 'ping' }).json.result).toEqual({});
  });

  test('the limit of sessions is kept, and close() ends every one', async () => {
    const lab = new Lab({ servers: { a: legacyScript('a') }, tools: { sessionsMax: 2 } });
    await lab.initialize();
    await lab.initialize();
    const third = lab.post(INITIALIZE);
    await lab.sim.advance(10);
    expect([third.status, third.exchange.errorCode, third.headers['retry-after']]).toEqual([
      503,
      'GW_SESSION_LIMIT',
      '1',
    ]);
    lab.target.close();
    await lab.sim.advance(10);
    expect(lab.target.sessions).toBe(0);
    expect(lab.fake('a').sent.filter((sent) => sent.verb === 'DELETE').length).toBe(2);
  });
});
