// What modern servers say, as strict legacy clients read it: results stripped and wrapped, errors recoded, envelopes put on.
// Run by `bun test`; pure, no sockets. The SDK's own schemas of 2025-11-25 judge the results.
import { describe, expect, test } from 'bun:test';
import {
  CallToolResultSchema,
  EmptyResultSchema,
  InitializeResultSchema,
  ListToolsResultSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { encode, splice } from '../../../src/base/bytes.ts';
import {
  initializeResult,
  isOutputWrapped,
  type LegacyResultContext,
  legacyError,
  legacyResultEdits,
  modernCapabilities,
  modernRequestEdits,
} from '../../../src/mcp/to-legacy.ts';
import { messageOf, textOf } from '../../fixtures/messages.ts';

const SERVER = '"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}';
const NEWEST = '2025-11-25';

/** The result as a legacy client gets it. */
function stripped(
  result: string,
  method = 'tools/call',
  version = NEWEST,
  context: LegacyResultContext = {},
): string {
  const message = messageOf(`{"jsonrpc":"2.0","result":${result},"id":1}`);
  const whole = textOf(splice(message.bytes, legacyResultEdits(message, method, version, context)));
  return whole.slice('{"jsonrpc":"2.0","result":'.length, -',"id":1}'.length);
}

describe('legacyResultEdits', () => {
  test.each([
    [`{"resultType":"complete","_meta":{${SERVER}}}`, '{}'],
    [`{ "ttlMs":0 , "cacheScope":"private","resultType":"complete" }`, '{  }'],
    [`{"a":1.0,"resultType":"complete" , "b":1e2}`, '{"a":1.0 , "b":1e2}'],
    [`{"_meta":{"k":1,${SERVER}},"result\\u0054ype":"complete","a":"\\/"}`, '{"_meta":{"k":1},"a":"\\/"}'],
    [`{"_meta":{${SERVER}, "k":1}}`, '{"_meta":{"k":1}}'],
    ['{"_meta":{},"a":{"resultType":1}}', '{"_meta":{},"a":{"resultType":1}}'],
    ['{"_meta":null}', '{"_meta":null}'],
    ['[]', '[]'],
    ['null', 'null'],
  ])('%s', (given, wanted) => {
    expect(stripped(given, 'prompts/get')).toBe(wanted);
  });

  test('an empty result is one to the strictest client', () => {
    const given = `{"resultType":"complete","ttlMs":0,"cacheScope":"public","_meta":{${SERVER}}}`;
    expect(EmptyResultSchema.safeParse(JSON.parse(given)).success).toBe(false);
    expect(EmptyResultSchema.safeParse(JSON.parse(stripped(given, 'ping'))).success).toBe(true);
  });

  test('errors and requests are not results', () => {
    const error = messageOf('{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"","resultType":"x"}}');
    expect(legacyResultEdits(error, 'tools/call', NEWEST)).toEqual([]);
  });

  test.each([
    ['[1.0, "\\u00e9"]', '[1.0, \\"\\\\u00e9\\"]'],
    ['12345678901234567890', '12345678901234567890'],
    ['"x"', '\\"x\\"'],
    ['null', 'null'],
    ['false', 'false'],
  ])('structured content %s is wrapped and said in text', (value, text) => {
    const block = `{"type":"text","text":"${text}"}`;
    expect(stripped(`{"structuredContent":${value},"content":[],"resultType":"complete"}`)).toBe(
      `{"structuredContent":{"result":${value}},"content":[${block}]}`,
    );
    expect(stripped(`{"content":[{"type":"image"}],"structuredContent":${value}}`)).toBe(
      `{"content":[{"type":"image"},${block}],"structuredContent":{"result":${value}}}`,
    );
    const made = stripped(`{"resultType":"complete","structuredContent":${value}}`);
    expect(made).toBe(`{"structuredContent":{"result":${value}},"content":[${block}]}`);
    expect(CallToolResultSchema.safeParse(JSON.parse(made)).success).toBe(true);
  });

  test('text that is there is enough', () => {
    expect(stripped('{"structuredContent":[1],"content":[{"type":"te\\u0078t","text":""}]}')).toBe(
      '{"structuredContent":{"result":[1]},"content":[{"type":"te\\u0078t","text":""}]}',
    );
  });

  test('content that is no list gives way to the text', () => {
    expect(stripped('{"content":null,"structuredContent":7}')).toBe(
      '{"content":[{"type":"text","text":"7"}],"structuredContent":{"result":7}}',
    );
  });

  test('an object stays as it is, but for tools whose schema was wrapped and for clients that cannot read it', () => {
    const given = '{"content":[],"structuredContent":{"a":1.0}}';
    expect(stripped(given)).toBe(given);
    expect(stripped(given, 'tools/call', NEWEST, { isWrapped: true })).toBe(
      '{"content":[],"structuredContent":{"result":{"a":1.0}}}',
    );
    expect(stripped(given, 'tools/call', '2025-03-26')).toBe(
      '{"content":[{"type":"text","text":"{\\"a\\":1.0}"}],"structuredContent":{"a":1.0}}',
    );
    expect(stripped(given, 'tools/call', '2025-06-18')).toBe(given);
    expect(stripped('{"structuredContent":[1]}', 'prompts/get')).toBe('{"structuredContent":[1]}');
  });
});

describe('tools/list', () => {
  const wrapped = (schema: string): unknown => {
    const made: { tools: { outputSchema: unknown }[] } = JSON.parse(
      stripped(
        `{"tools":[{"name":"t","inputSchema":{"type":"object"},"outputSchema":${schema}}],"resultType":"complete"}`,
        'tools/list',
      ),
    );
    expect(ListToolsResultSchema.safeParse(made).success).toBe(true);
    return made.tools[0]?.outputSchema;
  };
  const around = (result: unknown) => ({ type: 'object', properties: { result }, required: ['result'] });

  test('an object root stays byte for byte', () => {
    const given =
      '{"tools":[{"outputSchema":{"properties":{"a":{"$ref":"#/x"}}, "type":"object","n":1.0}},7]}';
    expect(stripped(given, 'tools/list')).toBe(given);
    const elsewhere = '{"tools":[{"outputSchema":{"type":"array"}}]}';
    expect(stripped(elsewhere, 'prompts/list')).toBe(elsewhere);
    const other = '{"x":[{"outputSchema":{"type":"array"}}]}';
    expect(stripped(other, 'tools/list')).toBe(other);
    expect(isOutputWrapped(encode('{"outputSchema":{"type":"object"}}'))).toBe(false);
    expect(isOutputWrapped(encode('{"name":"t"}'))).toBe(false);
    expect(isOutputWrapped(encode('{"outputSchema":null}'))).toBe(false);
  });

  test.each([
    '{"type":"array","items":{"type":"string"}}',
    '{"type":["object","null"]}',
    '{"anyOf":[{"type":"object"}]}',
    '{}',
    '{"type":"string","x":1.50}',
  ])('root %s is wrapped with its bytes', (schema) => {
    expect(stripped(`{"tools":[{"name":"t","outputSchema": ${schema} }]}`, 'tools/list')).toBe(
      `{"tools":[{"name":"t","outputSchema": {"type":"object","properties":{"result":${schema}},"required":["result"]} }]}`,
    );
    expect(wrapped(schema)).toEqual(around(JSON.parse(schema)));
    expect(isOutputWrapped(encode(`{"outputSchema":${schema}}`))).toBe(true);
  });

  test.each([
    ['true', {}],
    ['false', { not: {} }],
  ])(
    'root %s is said as an object, since older clients know no other schemas of properties',
    (schema, as) => {
      expect(wrapped(schema)).toEqual(around(as));
    },
  );

  test('so are the properties of schemas that need no wrapping', () => {
    const given =
      '{"tools":[{"name":"t","inputSchema":{"type":"object","properties":{"a":true ,"b":false,"c":{"properties":{"d":true}}}},' +
      '"outputSchema":{"properties":{"e":true},"additionalProperties":true,"type":"object"}}]}';
    const made = stripped(given, 'tools/list');
    expect(made).toBe(
      '{"tools":[{"name":"t","inputSchema":{"type":"object","properties":{"a":{} ,"b":{"not":{}},"c":{"properties":{"d":true}}}},' +
        '"outputSchema":{"properties":{"e":{}},"additionalProperties":true,"type":"object"}}]}',
    );
    expect(ListToolsResultSchema.safeParse(JSON.parse(given)).success).toBe(false);
    expect(ListToolsResultSchema.safeParse(JSON.parse(made)).success).toBe(true);
  });

  test('references into the document follow it, and no others', () => {
    expect(
      wrapped(
        JSON.stringify({
          type: 'array',
          items: { $ref: '#/$defs/n' },
          $defs: {
            n: {
              anyOf: [
                { $ref: '#' },
                { $dynamicRef: '#/$defs/m' },
                { $ref: '#anchor' },
                { $ref: 'https://x/y#/z' },
              ],
            },
            $ref: { $ref: '#/$defs/n', const: { $ref: '#/no' } },
          },
          properties: { $ref: { $ref: '#' }, default: { $ref: '#/a' }, enum: { $ref: '#/b' } },
          default: { $ref: '#/no' },
          enum: [{ $ref: '#/no' }],
          examples: [{ $ref: '#/no' }],
          dependencies: { a: ['$ref'], b: { $ref: '#/c' } },
          'x-own': { $ref: '#/d', deep: [{ $ref: '#' }] },
          $ref: 7,
        }),
      ),
    ).toEqual(
      around({
        type: 'array',
        items: { $ref: '#/properties/result/$defs/n' },
        $defs: {
          n: {
            anyOf: [
              { $ref: '#/properties/result' },
              { $dynamicRef: '#/properties/result/$defs/m' },
              { $ref: '#anchor' },
              { $ref: 'https://x/y#/z' },
            ],
          },
          $ref: { $ref: '#/properties/result/$defs/n', const: { $ref: '#/no' } },
        },
        properties: {
          $ref: { $ref: '#/properties/result' },
          default: { $ref: '#/properties/result/a' },
          enum: { $ref: '#/properties/result/b' },
        },
        default: { $ref: '#/no' },
        enum: [{ $ref: '#/no' }],
        examples: [{ $ref: '#/no' }],
        dependencies: { a: ['$ref'], b: { $ref: '#/properties/result/c' } },
        'x-own': { $ref: '#/properties/result/d', deep: [{ $ref: '#/properties/result' }] },
        $ref: 7,
      }),
    );
  });

  test('references spelled with escapes are found', () => {
    expect(wrapped('{"type":"array","items":{"\\u0024ref":"\\u0023\\/a~1b"}}')).toEqual(
      around({ type: 'array', items: { $ref: '#/properties/result/a~1b' } }),
    );
  });

  test('a document of its own keeps its references', () => {
    const own = { $id: 'https://x/s', type: 'array', items: { $ref: '#/a' } };
    expect(wrapped(JSON.stringify(own))).toEqual(around(own));
    const part = { type: 'array', items: own, contains: { $id: '#old', $ref: '#/b' } };
    expect(wrapped(JSON.stringify(part))).toEqual(
      around({ ...part, contains: { $id: '#old', $ref: '#/properties/result/b' } }),
    );
  });

  test('the dialect is said at the new root too', () => {
    const $schema = 'https://json-schema.org/draft/2020-12/schema';
    expect(wrapped(JSON.stringify({ $schema, type: 'array' }))).toEqual({
      $schema,
      ...around({ $schema, type: 'array' }),
    });
  });

  test('recursion of 2019-09 becomes a reference, and is an unknown word elsewhere', () => {
    const $schema = 'https://json-schema.org/draft/2019-09/schema';
    const tree = { type: 'array', items: { $recursiveRef: '#' } };
    expect(wrapped(JSON.stringify({ $schema, ...tree }))).toEqual({
      $schema,
      ...around({ $schema, type: 'array', items: { $ref: '#/properties/result' } }),
    });
    expect(wrapped(JSON.stringify(tree))).toEqual(around(tree));
  });

  test('tools whose headers break the rules are left out where asked for', () => {
    const bad = '{"name":"b","inputSchema":{"type":"object","x-mcp-header":"A"}}';
    const good = '{"name":"g","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}';
    const list = `{"tools":[${bad},${good}, ${bad}],"resultType":"complete"}`;
    expect(stripped(list, 'tools/list')).toContain('"name":"b"');
    const made: { tools: { name: string }[] } = JSON.parse(
      stripped(list, 'tools/list', NEWEST, { dropsInvalidTools: true }),
    );
    expect(made.tools.map((tool) => tool.name)).toEqual(['g']);
    expect(stripped(`{"tools":[${bad}]}`, 'tools/list', NEWEST, { dropsInvalidTools: true })).toBe(
      '{"tools":[]}',
    );
  });
});

describe('legacyError', () => {
  const recoded = (error: string, method = 'tools/call') => {
    const made = legacyError(messageOf(`{"jsonrpc":"2.0","id":1,"error":${error}}`), method);
    return made === null ? null : textOf(made);
  };

  test.each([-32020, -32021, -32022])('%i is no business of a legacy client', (code) => {
    expect(recoded(`{"message":"m","code":${code},"data":{"n":1.0}}`)).toBe(
      '{"message":"m","code":-32603,"data":{"n":1.0}}',
    );
  });

  test('a missing resource has its own code', () => {
    const error = '{"code":-32602,"message":"m","data":{"uri":"\\u0061://b"}}';
    expect(recoded(error, 'resources/read')).toBe(
      '{"code":-32002,"message":"m","data":{"uri":"\\u0061://b"}}',
    );
    expect(recoded(error, 'tools/call')).toBeNull();
    for (const data of ['{}', '{"uri":7}', '{"uri":"x","more":1}', '"uri"', 'null'])
      expect(recoded(`{"code":-32602,"message":"m","data":${data}}`, 'resources/read')).toBeNull();
    expect(recoded('{"code":-32602,"message":"m"}', 'resources/read')).toBeNull();
  });

  test('other codes stay', () => {
    for (const code of [-32700, -32600, -32601, -32603, -32000, 5])
      expect(recoded(`{"code":${code},"message":"m"}`, 'resources/read')).toBeNull();
    expect(legacyError(messageOf('{"jsonrpc":"2.0","id":1,"result":{}}'), 'ping')).toBeNull();
  });
});

describe('modernRequestEdits', () => {
  const META = '"io.modelcontextprotocol/protocolVersion":"2026-07-28","x":1';
  const enveloped = (body: string, retry?: string) => {
    const { bytes, envelope } = messageOf(body);
    const again = retry === undefined ? undefined : encode(retry);
    return textOf(splice(bytes, modernRequestEdits(bytes, envelope, encode(META), again)));
  };

  test.each([
    [
      '{"jsonrpc":"2.0","id":1,"method":"m"}',
      `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{${META}}}}`,
    ],
    [
      ' {"method":"m","id":1,"jsonrpc":"2.0" } ',
      ` {"method":"m","id":1,"jsonrpc":"2.0","params":{"_meta":{${META}}} } `,
    ],
    [
      '{"params":{},"jsonrpc":"2.0","id":1,"method":"m"}',
      `{"params":{"_meta":{${META}}},"jsonrpc":"2.0","id":1,"method":"m"}`,
    ],
    [
      '{"params":{"a":1.0, "_meta":null},"jsonrpc":"2.0","id":1,"method":"m"}',
      `{"params":{"a":1.0, "_meta":{${META}}},"jsonrpc":"2.0","id":1,"method":"m"}`,
    ],
    [
      '{"params":{"_meta":{ },"a":1},"jsonrpc":"2.0","id":1,"method":"m"}',
      `{"params":{"_meta":{${META} },"a":1},"jsonrpc":"2.0","id":1,"method":"m"}`,
    ],
    [
      '{"params":{"_meta":{"io.modelcontextprotocol\\/protocolVersion":"1","progressToken" : 1e0,"io.modelcontextprotocol/logLevel":"debug"}},"jsonrpc":"2.0","id":1,"method":"m"}',
      `{"params":{"_meta":{"progressToken" : 1e0,${META}}},"jsonrpc":"2.0","id":1,"method":"m"}`,
    ],
    [
      '{"params":{"requestState":"mine","_meta":{"io.modelcontextprotocol/x":1}},"jsonrpc":"2.0","id":1,"method":"m"}',
      `{"params":{"_meta":{${META}}},"jsonrpc":"2.0","id":1,"method":"m"}`,
    ],
    [
      '{"params":[1],"jsonrpc":"2.0","id":1,"method":"m"}',
      '{"params":[1],"jsonrpc":"2.0","id":1,"method":"m"}',
    ],
  ])('%s', (given, wanted) => {
    expect(enveloped(given)).toBe(wanted);
  });

  test('a retry brings its answers, in place of what the client wrote there', () => {
    const retry = '"inputResponses":{"k":{"action":"accept"}},"requestState":"s"';
    const given =
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","requestState":"mine","inputResponses":7}}';
    expect(enveloped(given, retry)).toBe(
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","_meta":{${META}},${retry}}}`,
    );
    expect(enveloped('{"jsonrpc":"2.0","id":1,"method":"m"}', retry)).toBe(
      `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{${META}},${retry}}}`,
    );
    expect(enveloped('{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{}}}', retry)).toBe(
      `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{${META}},${retry}}}`,
    );
  });
});

describe('handshake', () => {
  test('of a modern server', () => {
    const made = initializeResult(
      {
        supportedVersions: ['2026-07-28'],
        capabilities: {
          tools: { listChanged: true },
          resources: { subscribe: true },
          logging: {},
          tasks: {},
          extensions: { 'io.modelcontextprotocol/tasks': {}, 'a/b': {} },
        },
        instructions: 'i',
        resultType: 'complete',
        ttlMs: 5,
        cacheScope: 'public',
        _meta: { 'io.modelcontextprotocol/serverInfo': { name: 's', version: '1' }, k: 1 },
      },
      '2025-06-18',
    );
    expect(made).toEqual({
      protocolVersion: '2025-06-18',
      capabilities: {
        tools: { listChanged: true },
        resources: { subscribe: true },
        logging: {},
        extensions: { 'a/b': {} },
      },
      serverInfo: { name: 's', version: '1' },
      instructions: 'i',
      _meta: { k: 1 },
    });
    expect(InitializeResultSchema.safeParse(made).success).toBe(true);
  });

  test('of a server that says nothing', () => {
    expect(initializeResult({}, '2024-11-05')).toEqual({
      protocolVersion: '2024-11-05',
      capabilities: {},
      serverInfo: { name: 'unknown', version: '0' },
    });
  });

  test('capabilities of a legacy client', () => {
    expect(
      modernCapabilities({ elicitation: {}, roots: { listChanged: true }, tasks: {}, sampling: {} }),
    ).toEqual({
      elicitation: { form: {} },
      roots: {},
      sampling: {},
    });
    expect(modernCapabilities({ elicitation: { url: {} } })).toEqual({ elicitation: { url: {} } });
    expect(modernCapabilities({})).toEqual({});
  });
});
