// What legacy servers say, as modern clients mean it: results completed, errors recoded, envelopes taken off.
// Run by `bun test`; pure, no sockets.
import { describe, expect, test } from 'bun:test';
import { encode, splice } from '../../../src/base/bytes.ts';
import type { Message } from '../../../src/mcp/envelope.ts';
import {
  discoverResult,
  legacyCapabilities,
  legacyRequestEdits,
  modernError,
  modernResultEdits,
  urlElicitationsOf,
} from '../../../src/mcp/to-modern.ts';
import { messageOf, textOf } from '../../fixtures/messages.ts';

const INFO = encode('{"name":"s","version":"1"}');
const META = '"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}';
const NONE = { ttlMs: 0, cacheScope: 'private' } as const;

const reply = (result: string) => messageOf(`{"jsonrpc":"2.0","id":1,"result":${result}}`);
const failure = (error: string) => messageOf(`{"jsonrpc":"2.0","id":1,"error":${error}}`);
const bodyOf = (message: Message) =>
  textOf(message.bytes).slice('{"jsonrpc":"2.0","id":1,"result":'.length, -1);

/** The result as a modern client gets it. */
function completed(
  result: string,
  method = 'tools/call',
  caching: { readonly ttlMs: number; readonly cacheScope: 'public' | 'private' } = NONE,
): string {
  const message = reply(result);
  const bytes = splice(message.bytes, modernResultEdits(message, method, INFO, caching));
  return bodyOf({ ...message, bytes });
}

describe('modernResultEdits', () => {
  test.each([
    ['{}', `{"resultType":"complete",${META}}`],
    ['{ }', `{"resultType":"complete",${META} }`],
    [
      '{"content":[{"n":1.0, "x":"\\u0041\\/"}] }',
      `{"content":[{"n":1.0, "x":"\\u0041\\/"}],"resultType":"complete",${META} }`,
    ],
    ['{"resultType":"task","a":1}', `{"resultType":"task","a":1,${META}}`],
    ['{"resultType":7,"a":1}', `{"resultType":"complete","a":1,${META}}`],
    ['{"result\\u0054ype":"x"}', `{"result\\u0054ype":"x",${META}}`],
    [
      '{"_meta":{},"a":1e2}',
      '{"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}},"a":1e2,"resultType":"complete"}',
    ],
    ['{"_meta":null}', `{${META},"resultType":"complete"}`],
    [
      '{"_meta":{"k" : 1 }}',
      '{"_meta":{"k" : 1,"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"} },"resultType":"complete"}',
    ],
    [
      '{"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"own"}}}',
      '{"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"own"}},"resultType":"complete"}',
    ],
    ['{"_meta":{"io.modelcontextprotocol/serverInfo":"bad"}}', `{${META},"resultType":"complete"}`],
  ])('%s of a call', (given, wanted) => {
    expect(completed(given)).toBe(wanted);
  });

  test.each([
    'server/discover',
    'tools/list',
    'prompts/list',
    'resources/list',
    'resources/templates/list',
    'resources/read',
  ])('%s says for how long it holds', (method) => {
    const caching = { ttlMs: 500, cacheScope: 'public' } as const;
    expect(JSON.parse(completed('{}', method, caching))).toMatchObject({ ttlMs: 500, cacheScope: 'public' });
    const kept = JSON.parse(completed('{"ttlMs":90,"cacheScope":"private"}', method, caching));
    expect(kept).toMatchObject({ ttlMs: 90, cacheScope: 'private' });
  });

  test.each(['-1', '1.5', '"7"', 'null', '{}'])('a ttlMs of %s is no ttl', (ttl) => {
    expect(JSON.parse(completed(`{"ttlMs":${ttl},"cacheScope":"any"}`, 'tools/list'))).toMatchObject({
      ttlMs: 0,
      cacheScope: 'private',
    });
  });

  test.each(['tools/call', 'prompts/get', 'completion/complete', 'x/y'])('%s does not', (method) => {
    expect(completed('{"ttlMs":"mine"}', method)).toBe(`{"ttlMs":"mine","resultType":"complete",${META}}`);
  });

  test('a result that is not complete does not either, whatever the order', () => {
    expect(completed('{"resultType":"input_required"}', 'resources/read')).not.toContain('ttlMs');
  });

  test('tools lose execution and nothing else', () => {
    const given =
      '{"tools":[{"execution":{"taskSupport":"optional"},"name":"a"},{"name":"b" , "execution" : 1, "x":1.0},' +
      '{"execution":null},{"name":"c","inputSchema":{"execution":1}},7],"nextCursor":"n","resultType":"complete"}';
    expect(completed(given, 'tools/list')).toBe(
      '{"tools":[{"name":"a"},{"name":"b", "x":1.0},{},{"name":"c","inputSchema":{"execution":1}},7],' +
        `"nextCursor":"n","resultType":"complete",${META},"ttlMs":0,"cacheScope":"private"}`,
    );
    expect(completed('{"tools":[{"execution":1}]}')).toContain('"tools":[{"execution":1}]');
    expect(completed('{"tools":{"execution":1}}', 'tools/list')).toContain('"tools":{"execution":1}');
  });

  test('what is no result object stays as it is', () => {
    for (const result of ['null', '[]', '7', '"x"']) expect(completed(result)).toBe(result);
    expect(modernResultEdits(failure('{"code":1,"message":""}'), 'tools/call', INFO, NONE)).toEqual([]);
    const request = messageOf('{"jsonrpc":"2.0","id":1,"method":"x"}');
    expect(modernResultEdits(request, 'tools/call', INFO, NONE)).toEqual([]);
  });
});

describe('modernError', () => {
  const recoded = (error: string, uri?: string) => {
    const made = modernError(failure(error), uri === undefined ? null : encode(uri));
    return made === null ? null : textOf(made);
  };

  test.each([
    [
      '{"code":-32002,"message":"gone","data":{"uri":"a://b"}}',
      '{"code":-32602,"message":"gone","data":{"uri":"a://b"}}',
    ],
    [
      '{"data":{"n":1.0},"message":"\\u0041","code" : -32002}',
      '{"data":{"n":1.0,"uri":"x:\\/y"},"message":"\\u0041","code" : -32602}',
    ],
    ['{"code":-32002,"message":"gone"}', '{"code":-32602,"message":"gone","data":{"uri":"x:\\/y"}}'],
    [
      '{"code":-32002,"message":"gone","data":null}',
      '{"code":-32602,"message":"gone","data":{"uri":"x:\\/y"}}',
    ],
    ['{"code":-32050,"message":"mine"}', '{"code":-32603,"message":"mine"}'],
    ['{"code":-32022,"message":"mine","data":[1]}', '{"code":-32603,"message":"mine","data":[1]}'],
  ])('%s', (given, wanted) => {
    expect(recoded(given, '"x:\\/y"')).toBe(wanted);
  });

  test('without a URI at hand the data stays', () => {
    expect(recoded('{"code":-32002,"message":"gone","data":"d"}')).toBe(
      '{"code":-32602,"message":"gone","data":"d"}',
    );
  });

  test('other codes stay', () => {
    for (const code of [-32700, -32600, -32601, -32602, -32603, -32000, -32001, -32100, 7, '"x"', 1.5])
      expect(recoded(`{"code":${code},"message":""}`)).toBeNull();
    expect(recoded('{"message":""}')).toBeNull();
    expect(recoded('null')).toBeNull();
    expect(modernError(reply('{}'))).toBeNull();
  });

  test('-32042 asks for pages to visit, else it is a lack of the client', () => {
    const error =
      '{"code":-32042,"message":"visit","data":{"elicitations":[{"mode":"url","elicitationId":"e","url":"https://a/","message":"m","x":1},7,{"url":1},{"url":"https://b/"}]}}';
    expect(urlElicitationsOf(failure(error))).toEqual([
      { mode: 'url', url: 'https://a/', message: 'm', x: 1 },
      { mode: 'url', url: 'https://b/', message: 'Open this page to go on' },
    ]);
    expect(JSON.parse(recoded(error) ?? '')).toMatchObject({
      code: -32021,
      message: 'visit',
      data: { requiredCapabilities: { elicitation: { url: {} } } },
    });
  });

  test.each([
    '{"code":-32042,"message":"","data":{"elicitations":[]}}',
    '{"code":-32042,"message":"","data":{"elicitations":{}}}',
    '{"code":-32042,"message":"","data":[]}',
    '{"code":-32042,"message":""}',
  ])('%s wants nothing that could be asked', (error) => {
    expect(urlElicitationsOf(failure(error))).toBeNull();
    expect(JSON.parse(recoded(error) ?? '')).toMatchObject({ code: -32603 });
  });

  test('another code with elicitations is no such error', () => {
    expect(
      urlElicitationsOf(failure('{"code":-32000,"message":"","data":{"elicitations":[{"url":"u"}]}}')),
    ).toBeNull();
  });
});

describe('legacyRequestEdits', () => {
  const stripped = (body: string) => {
    const message = messageOf(body);
    return textOf(splice(message.bytes, legacyRequestEdits(message.bytes, message.envelope)));
  };
  const request = (params: string) => `{"jsonrpc":"2.0","id":"7","method":"tools/call"${params}}`;

  test.each([
    ['', ''],
    [',"params":{}', ',"params":{}'],
    [',"params":{"_meta":{}}', ',"params":{"_meta":{}}'],
    [',"params":[1]', ',"params":[1]'],
    [
      ',"params":{"arguments":{"io.modelcontextprotocol/a":1},"_meta":[]}',
      ',"params":{"arguments":{"io.modelcontextprotocol/a":1},"_meta":[]}',
    ],
    [',"params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}', ',"params":{}'],
    [
      ',"params":{"_meta":{"io.modelcontextprotocol/a":{"b":[1,{}]},"progressToken":"\\u0041", "io.modelcontextprotocol\\/c":1 },"name":"x"}',
      ',"params":{"_meta":{"progressToken":"\\u0041" },"name":"x"}',
    ],
    [
      ',"params":{"inputResponses":{"a":{}} , "name" :"x","arguments":{"requestState":1.0},"requestState":"s"}',
      ',"params":{"name" :"x","arguments":{"requestState":1.0}}',
    ],
    [',"params":{"requestState":"s","inputResponses":{}}', ',"params":{}'],
    [
      ',"params":{"_meta":{"io.modelcontextprotocolx/k":1}}',
      ',"params":{"_meta":{"io.modelcontextprotocolx/k":1}}',
    ],
  ])('%s', (given, wanted) => {
    expect(stripped(request(given))).toBe(request(wanted));
  });
});

describe('handshake', () => {
  test('capabilities of a client are those the bridge can carry', () => {
    expect(
      legacyCapabilities({
        elicitation: { form: {}, url: {} },
        sampling: { tools: {} },
        roots: { listChanged: true },
        experimental: { a: {} },
        extensions: { 'io.modelcontextprotocol/tasks': {}, 'io.modelcontextprotocol/ui': { m: 1 } },
        tasks: { list: {} },
        unheard: {},
      }),
    ).toEqual({
      elicitation: { form: {}, url: {} },
      sampling: { tools: {} },
      roots: {},
      experimental: { a: {} },
      extensions: { 'io.modelcontextprotocol/ui': { m: 1 } },
    });
    expect(legacyCapabilities({ elicitation: true, roots: null, sampling: [], extensions: {} })).toEqual({});
    expect(legacyCapabilities({ extensions: { 'io.modelcontextprotocol/tasks': {} } })).toEqual({});
  });

  test('discovery of a legacy server', () => {
    expect(
      discoverResult({
        protocolVersion: '2025-11-25',
        capabilities: {
          logging: {},
          completions: {},
          prompts: { listChanged: true },
          resources: { subscribe: true, listChanged: false },
          tools: { listChanged: true },
          tasks: { list: {} },
          experimental: { z: {} },
          own: 1,
        },
        serverInfo: { name: 's', version: '1', title: 'S' },
        instructions: 'be kind',
        _meta: { k: 1 },
      }),
    ).toEqual({
      supportedVersions: ['2026-07-28'],
      capabilities: {
        logging: {},
        completions: {},
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: false },
        tools: { listChanged: true },
        experimental: { z: {} },
        own: 1,
      },
      instructions: 'be kind',
      resultType: 'complete',
      ttlMs: 0,
      cacheScope: 'private',
      _meta: { k: 1, 'io.modelcontextprotocol/serverInfo': { name: 's', version: '1', title: 'S' } },
    });
  });

  test('discovery of a server that says nothing', () => {
    expect(discoverResult({})).toEqual({
      supportedVersions: ['2026-07-28'],
      capabilities: {},
      resultType: 'complete',
      ttlMs: 0,
      cacheScope: 'private',
      _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'unknown', version: '0' } },
    });
  });
});
