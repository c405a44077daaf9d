// The line of an exchange: which exchanges get one, what it says, and when it is written.
// Runs src/server/access-log.ts through the HTTP front, on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { createMemory } from '../../../src/memory/memory.ts';
import { SILENT } from '../../../src/observe/log.ts';
import { AccessLog } from '../../../src/server/access-log.ts';
import { Front } from '../../../src/server/http.ts';
import { Recorder } from '../../../src/server/record.ts';
import type { LogSpec } from '../../../src/snapshot.ts';
import type { FakeScript } from '../../../src/upstream/fake.ts';
import { FakeInbound } from '../../fixtures/inbound.ts';
import { json, Lab } from '../../fixtures/lab.ts';

const HEADERS = {
  host: 'localhost',
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': '2025-06-18',
};
const SPEC: LogSpec = {
  ...{ level: 'info', format: 'json', access: 'all', accessShare: 1, arguments: 'none', redact: [] },
};
const callOf = (args: object): string =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: args } });
const ANSWER = '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}';

function worldOf(spec: Partial<LogSpec>, script: FakeScript = () => json(ANSWER)) {
  const lab = new Lab({ servers: { a: script }, single: 'http' });
  const { clock } = lab.sim;
  const shape = { workers: 1, upstreams: 2, endpoints: lab.snapshot.endpoints.length, ringBytes: 4096 };
  const memory = createMemory({ ...shape, journalRecords: 16, tools: 8 }, clock.wall());
  const writes: string[] = [];
  let drawn = 0;
  const access = new AccessLog({
    spec: { ...SPEC, ...spec },
    output: { write: (text) => writes.push(text), wall: () => clock.wall() },
    clock,
    fraction: () => (drawn++ % 4) / 4,
    worker: 3,
  });
  const recorder = new Recorder({ memory, worker: 0, snapshot: lab.snapshot, clock, access });
  let ids = 0;
  const front = new Front({
    ...{ snapshot: lab.snapshot, pipeline: lab.pipeline, handles: lab.handles, scanner: lab.scanner },
    ...{ clock, log: SILENT, newId: () => `id${++ids}`, recorder },
  });
  const send = async (body: string, ms = 5): Promise<void> => {
    void Promise.resolve(front.handle(new FakeInbound('POST', '/mcp', HEADERS, body)));
    await lab.sim.advance(ms);
  };
  const lines = () =>
    writes
      .join('')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  return { lab, access, writes, lines, send };
}

describe('the line of an exchange', () => {
  test('says what it was, where it went, what became of it and how long it took; and nothing of its arguments', async () => {
    const { send, lines, access } = worldOf({}, () => json(ANSWER, { delayMs: 2 }));
    await send(callOf({ message: 'private' }));
    access.flush();
    const [line] = lines();
    expect(line).toMatchObject({
      ...{
        level: 'info',
        msg: 'exchange',
        room: 'access',
        worker: 3,
        id: 'id1',
        endpoint: '/mcp',
        server: 'a',
      },
      ...{ method: 'tools/call', name: 'echo', status: 200, outcome: 'ok', replyBytes: ANSWER.length },
    });
    expect(line.durationMs).toBeGreaterThanOrEqual(2);
    expect(JSON.stringify(line)).not.toContain('private');
  });

  test('says names of arguments, or values without those that are hidden, when that is asked for', async () => {
    const args = { message: 'hello', password: 'p', mine: 'm' };
    const names = worldOf({ arguments: 'names' });
    await names.send(callOf(args));
    names.access.flush();
    expect(JSON.parse(names.lines()[0].arguments)).toEqual(['message', 'password', 'mine']);
    const values = worldOf({ arguments: 'redacted', redact: ['mi*'] });
    await values.send(callOf(args));
    values.access.flush();
    const shown = JSON.parse(values.lines()[0].arguments);
    expect(shown).toEqual({ message: 'hello', password: '[redacted]', mine: '[redacted]' });
  });

  test('survives a message that is none, and params that are a list', async () => {
    const { send, lines, access } = worldOf({ arguments: 'redacted' });
    await send('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[1,2]}');
    await send('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"a":');
    access.flush();
    expect(lines()).toHaveLength(2);
    expect(lines()[1]).toMatchObject({ outcome: 'refused' });
  });
});

describe('which exchanges get a line', () => {
  const refused = '{"jsonrpc":"2.0","id":1}';
  test('with failures: those that were refused or failed', async () => {
    const { send, lines, access } = worldOf({ access: 'failures' });
    await send(callOf({}));
    await send(refused);
    access.flush();
    expect(lines().map(({ outcome }) => outcome)).toEqual(['refused']);
  });

  test('with failures: no more than the log can bear, and how many more there were', async () => {
    const { lab, send, lines, access } = worldOf({ access: 'failures' });
    for (let i = 0; i < LIMITS.accessLogFailuresMax + 7; i++) await send(refused, 0);
    await lab.sim.advance(LIMITS.accessLogFlushMs);
    expect(lines()).toHaveLength(LIMITS.accessLogFailuresMax + 1);
    expect(lines().at(-1)).toMatchObject({ level: 'warn', room: 'access', worker: 3, count: 7 });
    await send(refused);
    access.flush();
    expect(lines()).toHaveLength(LIMITS.accessLogFailuresMax + 2);
  });

  test('with a share: that share of those that went well, and all others', async () => {
    const { send, lines, access } = worldOf({ accessShare: 0.5 });
    for (let i = 0; i < 8; i++) await send(callOf({}));
    await send(refused);
    access.flush();
    expect(lines().map(({ outcome }) => outcome)).toEqual(['ok', 'ok', 'ok', 'ok', 'refused']);
  });

  test('with a level for them: at warn only those that failed for a fault that is not the client’s', async () => {
    const { send, lines, access } = worldOf({ rooms: { access: 'error' } });
    await send(callOf({}));
    await send(refused);
    access.flush();
    expect(lines()).toEqual([]);
  });
});

describe('when lines are written', () => {
  test('together, a moment later, and in order', async () => {
    const { lab, send, writes, lines } = worldOf({});
    for (let i = 0; i < 3; i++) await send(callOf({}));
    expect(writes).toEqual([]);
    await lab.sim.advance(200);
    expect(writes).toHaveLength(1);
    expect(lines().map(({ id }) => id)).toEqual(['id1', 'id2', 'id3']);
  });

  test('at once when many wait, so that what is kept is bounded', async () => {
    const { send, writes } = worldOf({});
    for (let i = 0; i < 100; i++) await send(callOf({}), 0);
    expect(writes.length).toBeGreaterThan(0);
  });
});
