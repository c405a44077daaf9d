// Which of a client's headers the member servers of an aggregated legacy session see.
// Runs bridge/leg-headers.ts, and a whole session over scripted servers.
import { expect, test } from 'bun:test';
import { newLeg } from '../../../src/bridge/leg.ts';
import { LegHeaders } from '../../../src/bridge/leg-headers.ts';
import type { Member } from '../../../src/bridge/member.ts';
import { INITIALIZE, Lab, legacyScript } from '../../fixtures/lab.ts';
import { snapshotOf } from '../../fixtures/plane.ts';

function legOf(forwardHeaders: readonly string[]) {
  const [spec] = snapshotOf({
    servers: { a: { url: 'http://127.0.0.1:1/mcp' } },
    spec: { forwardHeaders },
  }).servers;
  const lab = new Lab({ servers: { a: legacyScript('a') } });
  if (spec === undefined) throw new Error('no server');
  const member: Member = { spec, upstream: lab.fake('a') };
  return newLeg(member, 0);
}

test('a server sees the common ones and of the others those that it is configured to see, the latest', () => {
  const headers = new LegHeaders(['accept', 'x/y'], ['authorization', 'one', 'x-tenant', 't']);
  expect(headers.of(legOf([]))).toEqual(['accept', 'x/y']);
  expect(headers.of(legOf(['authorization']))).toEqual(['accept', 'x/y', 'authorization', 'one']);
  headers.show(['authorization', 'two']);
  expect(headers.of(legOf(['authorization', 'x-tenant']))).toEqual(['accept', 'x/y', 'authorization', 'two']);
  headers.show([]);
  expect(headers.of(legOf(['authorization']))).toEqual(['accept', 'x/y']);
});

test('regression: forwardHeaders held for an aggregate’s modern clients only; now its legacy sessions show them too', async () => {
  const lab = new Lab({
    servers: { a: legacyScript('a'), b: legacyScript('b') },
    spec: { forwardHeaders: ['authorization'] },
  });
  const first = lab.post(INITIALIZE, { optional: ['authorization', 'one', 'x-other', 'no'] });
  await lab.sim.advance(10);
  const session = first.headers['mcp-session-id'] ?? null;
  const call = { jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name: 'b__x' } };
  lab.post(call, { session, optional: ['authorization', 'two'] });
  await lab.sim.advance(10);
  const shown = (method: string) => {
    const [sent] = lab.asked('b', method);
    const at = sent?.headers.indexOf('authorization') ?? -1;
    return [at < 0 ? null : sent?.headers[at + 1], sent?.headers.includes('x-other')];
  };
  expect([shown('initialize'), shown('tools/call')]).toEqual([
    ['one', false],
    ['two', false],
  ]);
});
