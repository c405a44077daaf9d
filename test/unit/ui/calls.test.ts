// One tool call in the words of the protocol: requests, rounds, replies, curl.
// Run by bun test. Promises: the commands are run by a real shell, without curl.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { Exchange, Json } from '../../../src/ui/api/types.ts';
import { after, begin, roundOf } from '../../../src/ui/model/call-run.ts';
import { curlOf, curlOfExchange, quoted } from '../../../src/ui/model/curl.ts';
import { callMessage, headerValue, readMessages, readReply } from '../../../src/ui/model/mcp-call.ts';
import { isObject } from '../../../src/ui/model/schema-fields.ts';

const CALL = {
  name: 'find',
  inputSchema: {
    type: 'object',
    properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
  } as Json,
  args: { region: 'Zürich', query: 'water' },
};

function paramsOf(body: string): Record<string, Json> {
  const message = JSON.parse(body) as Json;
  return isObject(message) && isObject(message.params) ? { ...message.params } : {};
}

describe('requests', () => {
  test('carry the revision, the method and the name in headers and body', () => {
    const { headers, body } = callMessage(CALL, '7', null);
    expect(headers).toMatchObject({
      'MCP-Protocol-Version': '2026-07-28',
      'Mcp-Method': 'tools/call',
      'Mcp-Name': 'find',
    });
    const params = paramsOf(body);
    expect(params).toMatchObject({ name: 'find', arguments: CALL.args });
    expect(params._meta).toMatchObject({
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {}, url: {} } },
    });
    expect(params).not.toHaveProperty('inputResponses');
  });

  test('repeat the arguments that the schema wants in headers, encoded where they are not plain', () => {
    expect(callMessage(CALL, '1', null).headers['Mcp-Param-Region']).toBe('=?base64?WsO8cmljaA==?=');
    expect(headerValue('plain words')).toBe('plain words');
    expect(headerValue('')).toBe('=?base64??=');
    expect(headerValue('=?base64?x?=')).toStartWith('=?base64?PT9i');
  });

  test('a round brings the answers and the state, or no state when there was none', () => {
    const round = { inputResponses: { who: { action: 'accept' } }, requestState: 's1' };
    expect(paramsOf(callMessage(CALL, '2', round).body)).toMatchObject({ ...round, arguments: CALL.args });
    expect(paramsOf(callMessage(CALL, '2', { ...round, requestState: null }).body)).not.toHaveProperty(
      'requestState',
    );
  });
});

describe('replies', () => {
  test('are told apart', () => {
    expect(readReply({ jsonrpc: '2.0', id: 1, result: { content: [] } })?.kind).toBe('done');
    expect(readReply({ error: { code: -32603, message: 'no' } })).toMatchObject({
      kind: 'error',
      code: -32603,
      words: 'no',
    });
    expect(readReply({ method: 'notifications/progress', params: { progress: 1 } })?.kind).toBe('note');
    expect(readReply([1])).toBeNull();
    const asks = readReply({
      result: {
        resultType: 'input_required',
        requestState: 'abc',
        inputRequests: { who: { method: 'elicitation/create', params: { message: 'Name?' } }, bad: 3 },
      },
    });
    expect(asks).toEqual({
      kind: 'asks',
      requestState: 'abc',
      questions: [{ key: 'who', method: 'elicitation/create', params: { message: 'Name?' } }],
    });
  });

  test('come whole or as events, cut anywhere', async () => {
    const stream =
      ': hello\n\nevent: message\ndata: {"method":"notifications/message","params":{}}\n\ndata: {"result":\r\ndata: {}}\r\n\r\n';
    const bytes = new TextEncoder().encode(stream);
    for (let cut = 1; cut < bytes.length; cut++) {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(bytes.subarray(0, cut));
          controller.enqueue(bytes.subarray(cut));
          controller.close();
        },
      });
      const seen: Json[] = [];
      await readMessages(new Response(body, { headers: { 'content-type': 'text/event-stream' } }), (one) =>
        seen.push(one),
      );
      expect(seen).toEqual([{ method: 'notifications/message', params: {} }, { result: {} }]);
    }
    const seen: Json[] = [];
    await readMessages(new Response('{"result":{}}'), (one) => seen.push(one));
    await readMessages(new Response(''), (one) => seen.push(one));
    await readMessages(new Response('oops'), (one) => seen.push(one));
    expect(seen).toMatchObject([{ result: {} }, { error: { data: 'oops' } }]);
  });

  test('lead a call from question to result, with its times added up', () => {
    const asked = after(begin(CALL), { kind: 'asks', questions: [], requestState: 's' }, 5);
    expect(asked).toMatchObject({ state: 'asking', requestState: 's', tookMs: 5 });
    expect(roundOf(asked, { who: 1 })).toEqual({ inputResponses: { who: 1 }, requestState: 's' });
    const noted = after(
      asked,
      { kind: 'note', method: 'notifications/progress', params: { progress: 1, total: 2 } },
      6,
    );
    expect(noted.steps.at(-1)?.words).toBe('Progress 1 of 2');
    const done = after(noted, { kind: 'done', result: { content: [] } }, 7);
    expect(done).toMatchObject({ state: 'done', tookMs: 12, result: { content: [] } });
    expect(after(done, { kind: 'error', code: -1, words: 'no', data: null }, 1)).toMatchObject({
      state: 'failed',
      fault: 'no (-1)',
    });
  });

  test('a server that asks for ever is left', () => {
    let run = begin(CALL);
    for (let round = 0; round < 30 && run.state !== 'failed'; round++)
      run = after(run, { kind: 'asks', questions: [], requestState: null }, 1);
    expect(run).toMatchObject({ state: 'failed', fault: 'The server asked 20 times' });
  });
});

describe('curl', () => {
  const words = (command: string): string[] => {
    const done = Bun.spawnSync([
      '/bin/sh',
      '-c',
      `curl() { for word; do printf '%s\\0' "$word"; done; }; ${command}`,
    ]);
    return done.stdout.toString().split('\0').slice(0, -1);
  };

  test('each part reaches the shell as one word', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const clean = text.replaceAll('\0', '');
        expect(words(`curl ${quoted(clean)}`)).toEqual([clean]);
      }),
      { numRuns: 40 },
    );
    const command = curlOf({ url: 'http://h/mcp', headers: { A: "it's" }, body: '{"a":"\'$(x)`y`\\n"}' });
    expect(words(command)).toEqual([
      '-sN',
      'http://h/mcp',
      '-H',
      "A: it's",
      '--data-binary',
      '{"a":"\'$(x)`y`\\n"}',
    ]);
  });

  test('an exchange becomes the request it was; what was cut says so', () => {
    const { body } = callMessage(CALL, '1', null);
    const exchange = {
      ...{ key: '0-1', at: '2026-11-23T12:00:00.000Z', worker: 0, endpoint: '/mcp/search', server: 'search' },
      ...{
        method: 'tools/call',
        name: 'find',
        id: '1',
        status: 200,
        outcome: 'ok',
        errorCode: null,
        durationMs: 1,
      },
      ...{ phases: null, replica: 0, sends: 1, isCached: false, trace: null, replyBytes: 1, request: body },
      requestBytes: body.length + 1,
    } satisfies Exchange;
    expect(words(curlOfExchange(exchange, 'http://h:1/'))).toContain('Mcp-Method: tools/call');
    expect(words(curlOfExchange(exchange, 'http://h:1/'))[1]).toBe('http://h:1/mcp/search');
    expect(curlOfExchange(exchange, '')).not.toStartWith('#');
    expect(curlOfExchange({ ...exchange, requestBytes: 5000 }, '')).toStartWith('# The journal kept only');
    const legacy = { ...exchange, request: '{"method":"tools/call"}', requestBytes: 10 };
    expect(curlOfExchange(legacy, '')).toContain('Mcp-Session-Id');
    expect(curlOfExchange({ ...legacy, request: '{"method":"initialize"}' }, '')).not.toContain(
      'Mcp-Session-Id',
    );
  });
});
