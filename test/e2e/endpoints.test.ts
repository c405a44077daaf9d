// Endpoints of the configuration through the whole program: what they show, by HTTP and HTTP+SSE, and what `sluice list` says of them.
// Run by `bun test`, over real processes.
import { afterAll, expect, test } from 'bun:test';
import { join } from 'node:path';
import { ROOT, runToEnd, startFixture, startGateway, stopAll } from '../fixtures/harness.ts';
import { RpcClient } from '../fixtures/rpc-client.ts';

afterAll(stopAll);

interface Listed {
  readonly tools: readonly { readonly name: string; readonly description?: string }[];
}

test('an endpoint of two servers, by their own names', async () => {
  const [one, two] = await Promise.all([startFixture(), startFixture()]);
  const gateway = await startGateway(
    { one: { url: one.url }, two: { url: two.url } },
    {
      endpoints: {
        ops: {
          prefix: 'never',
          tools: { allow: ['echo', 'one__add'], override: { one__echo: { description: 'says it again' } } },
        },
      },
    },
  );
  const client = new RpcClient(`${gateway.url}/mcp/ops`);
  await client.initialize();
  const { tools } = (await client.request('tools/list')).result as unknown as Listed;
  expect(tools.map(({ name }) => name)).toContain('two__echo');
  expect(tools.find(({ name }) => name === 'echo')?.description).toBe('says it again');
  for (const name of ['echo', 'two__echo']) {
    const reply = await client.request('tools/call', { name, arguments: { text: 'hello' } });
    expect([name, JSON.stringify(reply.result)]).toEqual([name, expect.stringContaining('hello')]);
  }
  const hidden = await client.request('tools/call', { name: 'one__echo', arguments: { text: 'x' } });
  expect(hidden.error?.code).toBe(-32602);
  client.close();
  const sse = new AbortController();
  const stream = await fetch(`${gateway.url}/mcp/ops/sse`, {
    headers: { accept: 'text/event-stream' },
    signal: sse.signal,
  });
  expect(stream.status).toBe(200);
  sse.abort();
  const listed = await runToEnd({
    command: join(ROOT, 'bin', 'sluice'),
    args: ['list', '--url', gateway.url, '--endpoint', 'ops'],
  });
  expect([listed.code, listed.stdout]).toEqual([0, expect.stringMatching(/two__echo\s+is echo of two/)]);
}, 60_000);
