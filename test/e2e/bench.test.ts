// `sluice bench` against real endpoints on loopback: the echo of the benches in both eras, and servers that misbehave.
// Runs src/cli/bench.ts in this process over real sockets. Promises: loads of at most a few hundred calls; no timed assertion; every server
// is stopped.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { startEcho } from '../../bench/macro/peers.ts';
import type { Target } from '../../bench/macro/target.ts';
import { runProgram } from '../../src/cli/program.ts';
import { fakeWorld } from '../unit/cli/fake-world.ts';

let echo: Target;
beforeAll(async () => {
  echo = await startEcho();
});
afterAll(() => echo.stop());

async function bench(
  url: string,
  options: readonly string[],
  onStart?: (signal: (code: number) => void) => void,
) {
  const fake = fakeWorld();
  const running = runProgram(['bench', url, '--json', ...options], fake.world);
  onStart?.(fake.signal);
  const code = await running;
  const out = fake.out();
  return { code, err: fake.err(), summary: out === '' ? null : JSON.parse(out) };
}

const FEW = ['--warm-up', '0', '--count', '200', '-c', '4', '--duration', '20'];

const CASES: readonly [string, readonly string[], object][] = [
  ['a call, era found out', [], { era: 'modern', what: 'tools/call echo' }],
  ['a legacy call with sessions', ['--era', 'legacy'], { era: 'legacy', version: '2025-11-25' }],
  ['a list', ['--method', 'list'], { what: 'tools/list' }],
  ['discover', ['--method', 'initialize'], { what: 'server/discover' }],
  ['initialize, each session ended', ['--method', 'initialize', '--era', 'legacy'], { what: 'initialize' }],
  ['a payload of 100 KB', ['--payload', '100000', '--count', '20'], { failed: 0 }],
  ['calls due at a rate', ['--rate', '2000'], { model: 'open', unsent: expect.any(Number) }],
  ['its own arguments', ['--tool', 'echo', '--args', '{"text":"hello"}'], {}],
];

describe('the echo', () => {
  test.each(CASES)('%s', async (_name, options, said) => {
    const { code, err, summary } = await bench(echo.url, [...FEW, ...options]);
    expect(err).toBe('');
    expect(summary).toMatchObject({ errors: {}, ...said });
    expect(summary.calls).toBeGreaterThanOrEqual(options.includes('20') ? 20 : 200);
    expect(code).toBe(0);
  });

  test('event streams as answers', async () => {
    const { summary } = await bench(echo.url.replace('/mcp', '/stream'), FEW);
    expect(summary).toMatchObject({ errors: {}, calls: 200 });
  });

  test('the time bounds it, and Ctrl-C ends it with what there is', async () => {
    const short = await bench(echo.url, ['--warm-up', '0', '--duration', '0.2', '-c', '2']);
    expect(short.summary.interrupted).toBe(false);
    let signal: (code: number) => void = () => undefined;
    const ended = setInterval(() => signal(130), 50);
    const broken = await bench(echo.url, ['--warm-up', '0', '--duration', '20', '-c', '2'], (given) => {
      signal = given;
    });
    clearInterval(ended);
    expect(broken.summary.interrupted).toBe(true);
    expect(broken.summary.seconds).toBeLessThan(20);
  });
});

/** A legacy server whose calls are answered by `answer`; it counts sessions. */
function serve(
  answer: (message: { id: number }, n: number) => Response,
  unknown: (message: { id: number }) => Response = () => new Response('no', { status: 400 }),
) {
  let calls = 0;
  const open = new Set<string>();
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    async fetch(request) {
      if (request.method === 'DELETE') {
        open.delete(request.headers.get('mcp-session-id') ?? '');
        return new Response(null, { status: 204 });
      }
      // what the bench sends is JSON-RPC
      const message = (await request.json()) as { id: number; method: string };
      if (message.method === 'notifications/initialized') return new Response(null, { status: 202 });
      if (message.method === 'tools/call') return answer(message, calls++);
      if (message.method !== 'initialize') return unknown(message);
      const session = crypto.randomUUID();
      open.add(session);
      const result = {
        protocolVersion: '2025-06-18',
        capabilities: {},
        serverInfo: { name: 'x', version: '1' },
      };
      return Response.json(
        { jsonrpc: '2.0', id: message.id, result },
        { headers: { 'mcp-session-id': session } },
      );
    },
  });
  return { url: `http://127.0.0.1:${server.port}/mcp`, open, stop: () => server.stop(true) };
}

function good(id: number): Response {
  return Response.json({ jsonrpc: '2.0', id, result: { content: [] } });
}

const NAMED = [
  '--tool',
  'x',
  '--args',
  '{}',
  '--warm-up',
  '0',
  '--duration',
  '20',
  '-c',
  '2',
  '--count',
  '40',
];

describe('servers that misbehave', () => {
  test('failures are counted by kind, make exit code 1, and leave no session', async () => {
    const server = serve((message, n) => {
      if (n % 4 === 1) return new Response('busy', { status: 503 });
      if (n % 4 === 2) return good(message.id + 1);
      if (n % 4 === 3)
        return Response.json({ jsonrpc: '2.0', id: message.id, error: { code: -32000, message: 'x' } });
      return good(message.id);
    });
    const { code, summary } = await bench(server.url, NAMED);
    expect(code).toBe(1);
    expect(summary).toMatchObject({ era: 'legacy', version: '2025-06-18' });
    expect(Object.keys(summary.errors).sort()).toEqual([
      'HTTP 503',
      'error -32000',
      'not an answer to this call',
    ]);
    expect(summary.calls + summary.failed).toBe(40);
    expect(server.open.size).toBe(0);
    server.stop();
  });

  test('a stream that stays open after its answer holds nobody up for ever', async () => {
    const server = serve(({ id }) => {
      const event = `data: ${JSON.stringify({ jsonrpc: '2.0', id, result: { content: [] } })}\n\n`;
      const body = new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode(event)),
      });
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
    });
    const { code, summary } = await bench(server.url, [...NAMED, '--count', '3']);
    expect(summary).toMatchObject({ calls: 3, errors: {} });
    expect(code).toBe(0);
    server.stop();
  });

  test('a tool that fails is told before any load', async () => {
    let calls = 0;
    const server = serve(({ id }) => {
      calls++;
      return Response.json({
        jsonrpc: '2.0',
        id,
        result: { isError: true, content: [{ type: 'text', text: 'why' }] },
      });
    });
    const { code, err, summary } = await bench(server.url, NAMED);
    expect([code, summary, calls]).toEqual([1, null, 1]);
    expect(err).toContain('"text":"why"');
    expect(server.open.size).toBe(0);
    server.stop();
  });

  test('calls without an answer in time', async () => {
    const server = serve((message, n) => (n === 0 ? good(message.id) : new Response(new ReadableStream({}))));
    const { code, summary } = await bench(server.url, [...NAMED, '--timeout', '0.2', '--count', '2']);
    expect(summary.errors).toEqual({ 'no answer in time': 2 });
    expect(code).toBe(1);
    server.stop();
  });

  test('nobody there, no MCP there, no such era', async () => {
    const server = serve(({ id }) => good(id));
    expect((await bench(server.url, ['--era', 'modern'])).err).toContain(
      'does not answer server/discover: HTTP 400',
    );
    expect((await bench(server.url, FEW)).err).toContain('does not list its tools');
    server.stop();
    const { code, err } = await bench(server.url, FEW);
    expect(code).toBe(1);
    expect(err).toContain('nothing listens there');
  });

  test('the modern era when it is named, though the server lacks server/discover', async () => {
    const error = { code: -32601, message: 'not here' };
    const server = serve(
      ({ id }) => good(id),
      ({ id }) => Response.json({ jsonrpc: '2.0', id, error }, { status: 404 }),
    );
    const { code, summary } = await bench(server.url, [...NAMED, '--era', 'modern', '--count', '3']);
    expect(summary).toMatchObject({ calls: 3, era: 'modern' });
    expect(code).toBe(0);
    server.stop();
  });

  test('a server that goes away in the middle', async () => {
    const server = serve((message, n) => {
      if (n === 10) server.stop();
      return good(message.id);
    });
    const { code, summary } = await bench(server.url, NAMED);
    expect(code).toBe(1);
    expect(summary.failed).toBeGreaterThan(0);
    expect(summary.calls + summary.failed).toBe(40);
  });
});
