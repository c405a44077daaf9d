// Cancellation and progress reach the right request: clients of either era, servers of either era over every transport, each by itself and merged with the others.
// Run by `bun test`; the gateway runs in the test's own process, the fixtures in theirs. Promises: four calls run at once, of two clients that use the same ids and
// the same progress tokens; one is cancelled, and the other three hear their own progress and get their own results. No time is asserted.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fixtureCommand, startFixture, stopAll } from '../fixtures/harness.ts';
import { readJournal } from '../fixtures/journal.ts';
import type { Rpc } from '../fixtures/legacy-server.ts';
import { MODERN_META, modernHeaders } from '../fixtures/messages.ts';
import { eventually } from '../fixtures/places.ts';
import { type Plane, startPlane, type TestTarget } from '../fixtures/plane.ts';
import { readEvents } from '../fixtures/rpc-client.ts';

const TEST_MS_MAX = 40_000;
/** Far longer than a test: what is not cancelled fails it. */
const LONG_MS = 30_000;
const SHORT_MS = 400;
const SERVERS = {
  legacy: ['http', 'sse', 'stdio'],
  modern: ['http', 'stdio'],
} as const;

const folder = mkdtempSync(join(tmpdir(), 'sluice-cancel-'));
const journal = join(folder, 'journal');
const planes: Partial<Record<keyof typeof SERVERS, Plane>> = {};

beforeAll(async () => {
  for (const era of ['legacy', 'modern'] as const) {
    const servers: Record<string, TestTarget> = {};
    for (const transport of SERVERS[era]) {
      if (transport === 'stdio') servers.stdio = fixtureCommand(era, { journal });
      else {
        const { url } = await startFixture(era, { journal, transport });
        servers[transport] = { url, transport: transport === 'sse' ? 'sse' : 'streamable-http' };
      }
    }
    planes[era] = startPlane({ servers, spec: { era } });
  }
}, TEST_MS_MAX);
afterAll(async () => {
  for (const plane of Object.values(planes)) await plane.stop();
  await stopAll();
  rmSync(folder, { recursive: true, force: true });
}, TEST_MS_MAX);

/** One call under way. */
interface Running {
  readonly key: string;
  readonly progress: { readonly progressToken: unknown; readonly progress: number; readonly total: number }[];
  /** Of what came back; null when its client gave it up. */
  readonly answer: Promise<Rpc | null>;
  cancel(): Promise<void>;
}

/** A client that numbers its calls from 1, and uses the number as progress token as well. */
interface Visitor {
  slow(key: string, ms: number, steps: number): Running;
  close(): Promise<void>;
}

/** Posts a call and reads what comes back. */
function start(
  url: string,
  headers: Record<string, string>,
  call: { readonly id: number; readonly key: string; readonly params: object },
  abort: AbortController,
): Omit<Running, 'cancel'> {
  const { id, key, params } = call;
  const progress: Running['progress'] = [];
  const take = (message: Rpc): Rpc | null => {
    if (message.method === 'notifications/progress') progress.push(message.params as never);
    return message.method === undefined ? message : null;
  };
  const read = async (): Promise<Rpc | null> => {
    let answer: Rpc | null = null;
    try {
      const body = JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params });
      const response = await fetch(url, { method: 'POST', headers, body, signal: abort.signal });
      if (response.headers.get('content-type')?.startsWith('text/event-stream') !== true)
        return (await response.json()) as Rpc;
      await readEvents(response, (message) => {
        answer = take(message) ?? answer;
      });
    } catch (thrown) {
      if (!abort.signal.aborted) throw thrown;
    }
    return answer;
  };
  return { key, progress, answer: read() };
}

function visitModern(url: string, name: string): Visitor {
  let id = 0;
  return {
    slow: (key, ms, steps) => {
      const abort = new AbortController();
      id++;
      const params = { name, arguments: { key, ms, steps }, _meta: { ...MODERN_META, progressToken: id } };
      return {
        ...start(url, modernHeaders('tools/call', name), { id, key, params }, abort),
        // A modern client cancels by leaving (2026-07-28, cancellation).
        cancel: async () => abort.abort(),
      };
    },
    close: async () => undefined,
  };
}

async function visitLegacy(url: string, name: string): Promise<Visitor> {
  const plain = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  const about = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'cancels', version: '1' },
  };
  const say = (message: object, headers: Record<string, string>): Promise<Response> =>
    fetch(url, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', ...message }) });
  const hello = await say({ id: 'hello', method: 'initialize', params: about }, plain);
  await hello.text();
  const session = hello.headers.get('mcp-session-id') ?? '';
  const headers = { ...plain, 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' };
  await say({ method: 'notifications/initialized' }, headers);
  const aborts: AbortController[] = [];
  let last = 0;
  return {
    slow: (key, ms, steps) => {
      const abort = new AbortController();
      aborts.push(abort);
      const id = ++last;
      const params = { name, arguments: { key, ms, steps }, _meta: { progressToken: id } };
      return {
        ...start(url, headers, { id, key, params }, abort),
        cancel: async () => {
          const told = await say({ method: 'notifications/cancelled', params: { requestId: id } }, headers);
          expect(told.status).toBe(202);
        },
      };
    },
    close: async () => {
      for (const abort of aborts) abort.abort();
      await fetch(url, { method: 'DELETE', headers });
    },
  };
}

/** Lets two clients run two calls each, cancels one of them, and looks at what becomes of all four. */
async function scene(visit: () => Visitor | Promise<Visitor>, label: string): Promise<void> {
  const [one, two] = [await visit(), await visit()];
  const calls = [one, two].flatMap((visitor, v) =>
    [1, 2].map((n) => {
      const isVictim = v === 1 && n === 1;
      const steps = v * 2 + n + 1;
      return {
        steps,
        isVictim,
        token: n,
        call: visitor.slow(`${label}-${v}${n}`, isVictim ? LONG_MS : SHORT_MS, isVictim ? 1_000 : steps),
      };
    }),
  );
  const victim = calls.find(({ isVictim }) => isVictim)?.call;
  if (victim === undefined) throw new Error('nobody is cancelled');
  await eventually('it is at work', () => victim.progress.length > 0);
  await victim.cancel();
  const cancelled = (): readonly string[] =>
    [...readJournal(journal).cancelled].filter((name) => name.startsWith(`slow ${label}-`));
  await eventually('its server hears so', () => cancelled().includes(`slow ${victim.key}`));
  for (const { call, steps, token, isVictim } of calls) {
    expect(call.progress.every(({ progressToken }) => progressToken === token)).toBe(true);
    if (isVictim) continue;
    expect(await call.answer).toMatchObject({
      id: token,
      result: { content: [{ type: 'text', text: `Took ${steps} steps.` }] },
    });
    const heard = call.progress.map(({ progress, total }) => `${progress}/${total}`);
    expect(heard).toEqual(Array.from({ length: steps }, (_, i) => `${i + 1}/${steps}`));
  }
  expect(cancelled()).toEqual([`slow ${victim.key}`]);
  const { executions } = readJournal(journal);
  expect(calls.map(({ call }) => executions.get(`slow ${call.key}`))).toEqual([1, 1, 1, 1]);
  await Promise.all([one.close(), two.close()]);
}

describe.each(['legacy', 'modern'] as const)('a %s client', (clientEra) => {
  for (const serverEra of ['legacy', 'modern'] as const)
    for (const transport of SERVERS[serverEra])
      for (const isMerged of [false, true])
        test(
          `a ${serverEra} server over ${transport}${isMerged ? ', merged' : ''}`,
          async () => {
            const url = `${planes[serverEra]?.url}${isMerged ? '/mcp' : `/mcp/${transport}`}`;
            const name = isMerged ? `${transport}__slow` : 'slow';
            const label = `${clientEra}-${serverEra}-${transport}-${isMerged}`;
            await scene(
              () => (clientEra === 'modern' ? visitModern(url, name) : visitLegacy(url, name)),
              label,
            );
          },
          TEST_MS_MAX,
        );
});
