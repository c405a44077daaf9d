// Legacy sessions that share one process while several workers serve: any worker serves any session, and which worker dies makes the difference
// that it should make.
// Run by bun test. Promises: all workers are planes of the test's own process; waits for events, never for an amount of time.
import { afterEach, expect, test } from 'bun:test';
import { join } from 'node:path';
import { homeOf } from '../../src/upstream/peer.ts';
import type { Rpc } from '../fixtures/legacy-server.ts';
import { eventually } from '../fixtures/places.ts';
import { Planes } from '../fixtures/planes.ts';
import { RpcClient, readEvents } from '../fixtures/rpc-client.ts';

const WORKERS = 3;
const SERVER = { command: process.execPath, args: [join(import.meta.dir, '../fixtures/stdio-scripted.ts')] };
const HOME = homeOf('only', WORKERS);
const [NEAR, FAR] = [0, 1, 2].filter((worker) => worker !== HOME) as [number, number];

let planes: Planes | null = null;
afterEach(async () => {
  await planes?.stop();
  planes = null;
});

function start(): Planes {
  planes = new Planes({
    workers: WORKERS,
    servers: { only: { ...SERVER, keep: { sharing: 'shared' } } },
    spec: { era: 'legacy' },
  });
  return planes;
}

function clientAt(of: Planes, worker: number, session: string | null = null): RpcClient {
  const client = new RpcClient(`${of.url(worker)}/mcp/only`);
  client.session = session;
  return client;
}

async function open(of: Planes, worker: number, capabilities: object = {}): Promise<RpcClient> {
  const client = clientAt(of, worker);
  const params = { protocolVersion: '2025-06-18', capabilities, clientInfo: { name: 't', version: '1' } };
  expect((await client.request('initialize', params)).error).toBeUndefined();
  await client.post({ jsonrpc: '2.0', method: 'notifications/initialized' });
  return client;
}

async function pidBy(client: RpcClient): Promise<number> {
  const { result } = await client.request('tools/call', { name: 'echo', arguments: {} });
  // the scripted server's own form
  return (result as { pid: number }).pid;
}

test('a session that began anywhere is served everywhere, by the one process', async () => {
  const of = start();
  const sessions = await Promise.all([0, 1, 2].map((worker) => open(of, worker)));
  const pids = await Promise.all(
    sessions.flatMap(({ session }) => [0, 1, 2].map((worker) => pidBy(clientAt(of, worker, session)))),
  );
  expect(new Set(pids).size).toBe(1);
  expect(of.plane(HOME).stats().sessions).toBe(3);
  expect(of.plane(NEAR).stats().sessions + of.plane(FAR).stats().sessions).toBe(0);
});

test('progress, questions, streams and cancellations cross workers', async () => {
  const of = start();
  const client = await open(of, NEAR, { elicitation: {} });
  const there = clientAt(of, FAR, client.session);
  const steps: Rpc[] = [];
  const params = { name: 'work', arguments: { steps: 3 }, _meta: { progressToken: 'p' } };
  await there.request('tools/call', params, (message) => void steps.push(message));
  expect(steps.map((step) => step.params)).toEqual(
    [1, 2, 3].map((progress) => ({ progressToken: 'p', progress })),
  );

  const asked = await client.request('tools/call', { name: 'ask' }, (question) => {
    void there.post({
      jsonrpc: '2.0',
      id: question.id,
      result: { action: 'accept', content: { name: 'Ada' } },
    });
  });
  expect(asked.result).toEqual({ answer: { action: 'accept', content: { name: 'Ada' } } });

  const leave = new AbortController();
  const headers = {
    accept: 'text/event-stream',
    'mcp-session-id': client.session ?? '',
    'mcp-protocol-version': '2025-06-18',
  };
  const stream = await fetch(`${of.url(HOME)}/mcp/only`, { headers, signal: leave.signal });
  const heard: Rpc[] = [];
  const reading = readEvents(stream, (message) => void heard.push(message)).catch(() => undefined);
  await there.request('tools/call', { name: 'touch' });
  await eventually('the change is heard', () =>
    heard.some(({ method }) => method === 'notifications/tools/list_changed'),
  );
  leave.abort();
  await reading;

  const never = { jsonrpc: '2.0', id: 'n', method: 'tools/call', params: { name: 'never' } };
  const held = client.post(never);
  const seen = async (): Promise<readonly Rpc[]> => {
    const { result } = await there.request('tools/call', { name: 'seen' });
    // the scripted server's own form
    return (result as { seen: Rpc[] }).seen;
  };
  await eventually('the call is in flight', async () =>
    (await seen()).some(({ params }) => params?.name === 'never'),
  );
  await there.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'n' } });
  expect(await (await held).text()).toBe('');
  const messages = await seen();
  const call = messages.find(({ params }) => params?.name === 'never');
  expect(messages.find(({ method }) => method === 'notifications/cancelled')?.params?.requestId).toBe(
    call?.id ?? null,
  );
});

test('a worker that is not the home dies: no session is lost, those that began there included', async () => {
  const of = start();
  const sessions = await Promise.all([0, 1, 2].map((worker) => open(of, worker)));
  const pid = await pidBy(clientAt(of, HOME, sessions[0]?.session));
  of.die(NEAR);
  for (const { session } of sessions) expect(await pidBy(clientAt(of, FAR, session))).toBe(pid);
  of.start(NEAR);
  for (const { session } of sessions) expect(await pidBy(clientAt(of, NEAR, session))).toBe(pid);
});

test('the home dies: its sessions go on at a new process, all at the same', async () => {
  const of = start();
  const sessions = await Promise.all([0, 1, 2].map((worker) => open(of, worker)));
  const pid = await pidBy(clientAt(of, NEAR, sessions[0]?.session));
  of.die(HOME);
  of.start(HOME);
  const pids = await Promise.all(
    sessions.flatMap(({ session }) => [0, 1, 2].map((worker) => pidBy(clientAt(of, worker, session)))),
  );
  expect(new Set(pids).size).toBe(1);
  expect(pids[0]).not.toBe(pid);
});
