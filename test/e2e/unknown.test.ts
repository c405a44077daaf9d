// What nobody has heard of passes untouched: capabilities, methods, notifications, result types, members and spellings, over HTTP and stdio, by itself and merged.
// Run by `bun test`; the gateway runs in the test's own process, the stdio servers in theirs. What the bridge does to such things is in test/unit/bridge.
import { afterAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { ROOT } from '../fixtures/harness.ts';
import { modernHeaders } from '../fixtures/messages.ts';
import { type Plane, startPlane } from '../fixtures/plane.ts';
import { capabilitiesOf, NOTE, startStrangeServer, strangeResult } from '../fixtures/strange-server.ts';

const TEST_MS_MAX = 20_000;
const far = startStrangeServer('far');
const near = {
  command: process.execPath,
  args: [join(ROOT, 'test', 'fixtures', 'strange-server.ts'), 'near'],
};
const servers = { far: { url: far.url }, near };
const planes: Readonly<Record<'modern' | 'legacy', Plane>> = {
  modern: startPlane({ servers, spec: { era: 'modern' } }),
  legacy: startPlane({ servers, spec: { era: 'legacy' } }),
};
afterAll(async () => {
  await planes.modern.stop();
  await planes.legacy.stop();
  far.stop();
}, TEST_MS_MAX);

const CLIENT = '{"vendor":{"c":[]},"extensions":{"vendor/c":{"x":1.0}}}';
const MODERN_META = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","vendor/k":1e2,"io.modelcontextprotocol/clientCapabilities":${CLIENT}}`;

interface Asked {
  readonly status: number;
  readonly session: string | null;
  /** Of an event stream its data, without what keeps it open. */
  readonly messages: readonly string[];
}

async function post(url: string, headers: Record<string, string>, body: string): Promise<Asked> {
  const response = await fetch(url, { method: 'POST', headers, body });
  const text = await response.text();
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
  const lines = text.split('\n').filter((line) => line.startsWith('data: '));
  const messages = isStream ? lines.map((line) => line.slice('data: '.length)) : [text];
  return { status: response.status, session: response.headers.get('mcp-session-id'), messages };
}

/** One client: how it asks, with raw params. */
interface Visitor {
  readonly hello: Asked;
  ask(method: string, params: string, mcpName?: string): Promise<Asked>;
}

async function visitModern(path: string): Promise<Visitor> {
  const ask: Visitor['ask'] = (method, params, mcpName) => {
    const inner = params === '' ? MODERN_META : `${params},${MODERN_META}`;
    const body = `{"vendor":[],"id":"1","jsonrpc":"2.0","method":"${method}","params":{${inner}}}`;
    return post(`${planes.modern.url}${path}`, modernHeaders(method, mcpName), body);
  };
  return { ask, hello: await ask('server/discover', '') };
}

async function visitLegacy(path: string): Promise<Visitor> {
  const url = `${planes.legacy.url}${path}`;
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  const about = `"protocolVersion":"2025-11-25","clientInfo":{"name":"c","version":"1","vendor":1},"capabilities":${CLIENT}`;
  const hello = await post(
    url,
    headers,
    `{"jsonrpc":"2.0","id":"0","method":"initialize","params":{${about}}}`,
  );
  const known = { ...headers, ...(hello.session !== null && { 'mcp-session-id': hello.session }) };
  const ready = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
  expect((await post(url, known, ready)).status).toBe(202);
  const ask: Visitor['ask'] = (method, params) =>
    post(url, known, `{"vendor":[],"id":"1","jsonrpc":"2.0","method":"${method}","params":{${params}}}`);
  return { ask, hello };
}

const VISITS = { modern: visitModern, legacy: visitLegacy } as const;
const resultIn = (message: string | undefined): unknown =>
  (JSON.parse(message ?? '') as { result: unknown }).result;

describe.each(['modern', 'legacy'] as const)('a %s client and a server of its era', (era) => {
  const isModern = era === 'modern';
  const meta = isModern ? `,${MODERN_META}` : '';
  const strange = '"x":{"y" : 1.50},"taskId":"t+1"';
  const answered = (params: string): string =>
    `{"vendor":{"a":1.0},"jsonrpc":"2.0","result":${strangeResult(params, isModern)},"id":"1"}`;

  test.each(['far', 'near'])('/mcp/%s: capabilities', async (name) => {
    const { hello } = await VISITS[era](`/mcp/${name}`);
    expect(hello.messages[0]).toContain(`"capabilities":${capabilitiesOf(name)}`);
    expect(hello.messages[0]).toContain('{"vendor":{"a":1.0},"jsonrpc"');
  });

  test.each(['far', 'near'])('/mcp/%s: methods, with and without a mirrored name', async (name) => {
    const visitor = await VISITS[era](`/mcp/${name}`);
    for (const mcpName of [undefined, 't+1']) {
      const { status, messages } = await visitor.ask('vendor/do', strange, mcpName);
      expect([status, messages]).toEqual([200, [answered(`{${strange}${meta}}`)]]);
    }
    if (name === 'far') expect(far.headers.at(-1)?.get('mcp-name')).toBe(isModern ? 't+1' : null);
  });

  test.each(['far', 'near'])('/mcp/%s: a notification of a call, and a result of any type', async (name) => {
    const visitor = await VISITS[era](`/mcp/${name}`);
    const { messages } = await visitor.ask('tools/call', `"name":"t",${strange}`, 't');
    expect(messages).toContain(answered(`{"name":"t",${strange}${meta}}`));
    // A process of one session may say it on the session's own stream; one that many share says it to its only call.
    if (name === 'far' || isModern) expect(messages[0]).toBe(NOTE);
  });

  test.each(['far', 'near'])('merged: a call of %s changes by its name alone', async (name) => {
    const visitor = await VISITS[era]('/mcp');
    const { messages } = await visitor.ask('tools/call', `"name":"${name}__t",${strange}`, `${name}__t`);
    expect(messages).toContain(answered(`{"name":"t",${strange}${meta}}`));
    if (name === 'far' || isModern) expect(messages[0]).toBe(NOTE);
  });

  test('merged: capabilities of all, and what the client can, to each', async () => {
    const visitor = await VISITS[era]('/mcp');
    expect(resultIn(visitor.hello.messages[0])).toMatchObject({
      capabilities: {
        tools: { vendorFlag: 1 },
        vendor: { far: [], near: [] },
        extensions: {
          'vendor/far': { x: 0 },
          'vendor/near': { x: 0 },
          'io.modelcontextprotocol/tasks': {},
        },
      },
    });
    const said = far.bodies.map((body) => new TextDecoder().decode(body));
    expect(said.filter((body) => body.includes(`apabilities":${CLIENT}`)).length).toBeGreaterThan(0);
  });

  test.each([undefined, 'far__t'])(
    'merged: a method that names no server is refused with words that help (Mcp-Name: %p)',
    async (mcpName) => {
      const visitor = await VISITS[era]('/mcp');
      const { status, messages } = await visitor.ask('vendor/do', '"name":"far__t"', mcpName);
      expect(status).toBe(isModern ? 404 : 200);
      expect(JSON.parse(messages[0] ?? '')).toMatchObject({
        id: '1',
        error: { code: -32601, message: expect.stringContaining('use /mcp/<name>') },
      });
    },
  );
});
