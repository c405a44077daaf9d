// A stdio upstream over real processes: load, kill -9 under load, healing, the stop ladder, nothing left behind.
// Run by bun test. Promises: every process it starts has ended when it ends; waits for events, never for an amount of time.
import { afterEach, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLog, SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { chooseScanner } from '../../src/scan/scan.ts';
import { createStdioUpstream, type StdioUpstreamOptions } from '../../src/upstream/stdio.ts';
import type { Upstream } from '../../src/upstream/upstream.ts';
import { type Caught, modern, type RequestParts, sendOn, stdioSpec } from '../fixtures/stdio-world.ts';

const SERVER = join(import.meta.dir, '../fixtures/stdio-scripted.ts');
const runtime = createBunRuntime();
const { scanner } = chooseScanner('auto');
const open: Upstream[] = [];

function start(env: Record<string, string> = {}, parts: Partial<StdioUpstreamOptions> = {}): Upstream {
  const spec = stdioSpec(process.execPath, [SERVER], { PATH: process.env.PATH ?? '', ...env });
  const upstream = createStdioUpstream({
    runtime,
    scanner,
    spec,
    log: SILENT,
    sessionsMax: 10,
    sessionIdleMs: 60_000,
    ...parts,
  });
  open.push(upstream);
  return upstream;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((upstream) => upstream.close(2_000)));
});

function tool(id: string | number, name: string, args: object = {}, meta: object = {}): object {
  return modern(id, 'tools/call', { name, arguments: args }, meta);
}

function ask(upstream: Upstream, message: object | null, parts: RequestParts = {}): Promise<Caught> {
  return sendOn(upstream, message, parts).caught.settled();
}

async function pidOf(upstream: Upstream): Promise<number> {
  return (await ask(upstream, tool('pid', 'echo'))).answer.result.pid;
}

function isKnown(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** True while it runs; one that has ended but that its new parent (init) has not collected yet does not. */
function isRunning(pid: number): boolean {
  if (!isKnown(pid)) return false;
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return isKnown(pid);
  }
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds()); tries++) {
    if (tries > 1_000) throw new Error('it never came true');
    await Bun.sleep(5);
  }
}

async function openSession(upstream: Upstream): Promise<string> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
  const { head } = await ask(
    upstream,
    { jsonrpc: '2.0', id: 0, method: 'initialize', params },
    { era: 'legacy' },
  );
  const session = head?.sessionId ?? '';
  await ask(upstream, { jsonrpc: '2.0', method: 'notifications/initialized' }, { era: 'legacy', session });
  return session;
}

function callIn(session: string, id: number, name: string, args: object = {}): [object, RequestParts] {
  return [
    { jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: args } },
    { era: 'legacy', session },
  ];
}

describe('one child, many callers', () => {
  test.each(['lf', 'crlf'])(
    '64 callers with the same ids get their own answers and progress (%s)',
    async (lineEnd) => {
      const upstream = start({ END_OF_LINE: lineEnd });
      const replies = await Promise.all(
        Array.from({ length: 64 }, (_, n) =>
          ask(
            upstream,
            tool(n % 2 === 0 ? 1 : '1', 'work', { n, steps: 3, ms: n % 5 }, { progressToken: n % 4 }),
          ),
        ),
      );
      replies.forEach((caught, n) => {
        expect(caught.answer.id).toBe(n % 2 === 0 ? 1 : '1');
        expect(caught.answer.result.args.n).toBe(n);
        const progress = caught.events.slice(0, -1).map((line) => JSON.parse(line).params);
        expect(progress).toEqual([1, 2, 3].map((step) => ({ progressToken: n % 4, progress: step })));
      });
      expect(upstream.stats()).toMatchObject({ total: 1, connects: 1, busy: 0, failures: 0 });
    },
  );

  test('messages of many sizes, to just below the limit of a line, come back whole', async () => {
    const upstream = start();
    for (const bytes of [0, 65_535, 65_536, 1_000_000, 16 * 1024 * 1024 - 200]) {
      expect((await ask(upstream, tool(1, 'fill', { bytes }))).answer.result.text).toHaveLength(bytes);
    }
    const text = 'ü'.repeat(2_000_000);
    expect((await ask(upstream, tool(1, 'echo', { text }))).answer.result.args.text).toBe(text);
  });

  test('leaving a call reaches the child as a cancel of the id that it knows', async () => {
    const upstream = start();
    await pidOf(upstream);
    const { call } = sendOn(upstream, tool('mine', 'never'));
    await until(async () => {
      const { seen } = (await ask(upstream, tool('s', 'seen'))).answer.result;
      const sent = seen.find((message: { params?: { name?: string } }) => message.params?.name === 'never');
      if (sent === undefined) return false;
      call.abort();
      const cancel = seen.find(
        (message: { method?: string }) => message.method === 'notifications/cancelled',
      );
      if (cancel === undefined) return false;
      expect(cancel.params.requestId).toBe(sent.id);
      return true;
    });
  });

  test('a listen hears its own changes until it leaves', async () => {
    const upstream = start();
    const { caught, call } = sendOn(
      upstream,
      modern('listen:0', 'subscriptions/listen', { notifications: {} }),
    );
    await until(() => caught.head !== null);
    await ask(upstream, tool(1, 'touch'));
    expect(
      caught.events.map((line) => JSON.parse(line).params._meta['io.modelcontextprotocol/subscriptionId']),
    ).toEqual(['listen:0', 'listen:0']);
    call.abort();
  });

  test('stderr comes out in the log', async () => {
    const lines: string[] = [];
    const log = createLog('info', { write: (line) => lines.push(line), wall: () => 0 });
    const upstream = start({}, { log });
    await ask(upstream, tool(1, 'complain', { text: 'ouch' }));
    await until(() => lines.some((line) => line.includes('"line":"ouch"')));
  });
});

describe('a child that dies', () => {
  test('kill -9 under load: calls in flight fail with an error, the next is served by a new child', async () => {
    const upstream = start();
    const pid = await pidOf(upstream);
    const inFlight = Array.from({ length: 32 }, (_, n) =>
      sendOn(upstream, tool(n, n % 2 === 0 ? 'never' : 'work', { steps: 1, ms: 60_000 })),
    );
    await until(async () => (await ask(upstream, tool('s', 'seen'))).answer.result.seen.length > 32);
    process.kill(pid, 'SIGKILL');
    const failed = await Promise.all(inFlight.map(({ caught }) => caught.settled()));
    expect(failed.map((caught) => caught.failed?.code)).toEqual(inFlight.map(() => 'GW_UPSTREAM_EXITED'));
    const next = await pidOf(upstream);
    expect(next).not.toBe(pid);
    expect(upstream.stats()).toMatchObject({ total: 1, connects: 2, failures: 1 });
    await until(() => !isKnown(pid));
  });

  test('an exit of its own, again and again: short waits, then back-off, and no storm of processes', async () => {
    const upstream = start({ DIE_AT_START: '3' });
    const codes = new Set<string | undefined>();
    for (let n = 0; n < 6; n++)
      codes.add((await ask(upstream, tool(n, 'echo'), { timeoutMs: 400 })).failed?.code);
    expect(codes.has('GW_UPSTREAM_EXITED')).toBe(true);
    expect([...codes].every((code) => code !== undefined && /EXITED|BACKOFF|TIMEOUT/.test(code))).toBe(true);
    expect(upstream.stats().connects).toBeLessThanOrEqual(6);
  });

  test('a command that does not exist is GW_UPSTREAM_SPAWN with what to do', async () => {
    const upstream = start({}, { spec: stdioSpec('/no/such/command', [], {}) });
    const { failed } = await ask(upstream, tool(1, 'echo'));
    expect(failed?.code).toBe('GW_UPSTREAM_SPAWN');
    expect(failed?.detail).toContain('/no/such/command');
  });

  test('a line beyond the limit ends the child, its call fails, the next is served', async () => {
    const upstream = start();
    expect((await ask(upstream, tool(1, 'overlong'))).failed?.code).toBe('GW_UPSTREAM_EXITED');
    expect((await ask(upstream, tool(2, 'echo'))).answer.id).toBe(2);
    await until(() => upstream.stats().total === 1);
  });
});

describe('legacy sessions', () => {
  test('each has a process of its own; the server may ask; kill -9 heals behind the same session id', async () => {
    const upstream = start();
    const [one, two] = await Promise.all([openSession(upstream), openSession(upstream)]);
    const pidIn = async (session: string): Promise<number> =>
      (await ask(upstream, ...callIn(session, 1, 'echo'))).answer.result.pid;
    const [first, second] = await Promise.all([pidIn(one), pidIn(two)]);
    expect(first).not.toBe(second);

    const asking = sendOn(upstream, ...callIn(one, 2, 'ask'));
    await until(() => asking.caught.events.length === 1);
    const question = JSON.parse(asking.caught.events[0] ?? '');
    const answer = {
      jsonrpc: '2.0',
      id: question.id,
      result: { action: 'accept', content: { name: 'Ada' } },
    };
    expect((await ask(upstream, answer, { era: 'legacy', session: one })).head?.status).toBe(202);
    expect((await asking.caught.settled()).answer.result.answer.content).toEqual({ name: 'Ada' });

    const lost = sendOn(upstream, ...callIn(one, 3, 'never'));
    await ask(upstream, ...callIn(one, 4, 'seen'));
    process.kill(first, 'SIGKILL');
    expect((await lost.caught.settled()).failed?.code).toBe('GW_UPSTREAM_EXITED');
    expect(await pidIn(one)).not.toBe(first);
    const { seen } = (await ask(upstream, ...callIn(one, 5, 'seen'))).answer.result;
    expect(seen.slice(0, 2).map((message: { method: string }) => message.method)).toEqual([
      'initialize',
      'notifications/initialized',
    ]);
    expect(await pidIn(two)).toBe(second);

    expect((await ask(upstream, null, { verb: 'DELETE', era: 'legacy', session: two })).head?.status).toBe(
      200,
    );
    await until(() => !isKnown(second));
    expect((await ask(upstream, ...callIn(two, 9, 'echo'))).failed?.code).toBe('GW_SESSION_UNKNOWN');
  });
});

describe('the end', () => {
  test('close leaves neither child nor grandchild, and no zombie', async () => {
    const upstream = start();
    const { pid, grandchild } = (await ask(upstream, tool(1, 'child'))).answer.result;
    const session = await openSession(upstream);
    const other = (await ask(upstream, ...callIn(session, 1, 'echo'))).answer.result.pid;
    await upstream.close(3_000);
    expect(upstream.stats().total).toBe(0);
    for (const own of [pid, other]) expect(isKnown(own)).toBe(false);
    await until(() => !isRunning(grandchild));
  });

  test('a child that ignores stdin and SIGTERM is killed within the time given', async () => {
    const upstream = start({ STUBBORN: '1' });
    const { pid, grandchild } = (await ask(upstream, tool(1, 'child'))).answer.result;
    await upstream.close(600);
    expect(upstream.stats().total).toBe(0);
    expect(isKnown(pid)).toBe(false);
    await until(() => !isRunning(grandchild));
  });
});
