// The codecs of the era bridge on any JSON, however it is spelled: what they leave parses to what was wanted, and what they are not about
// keeps its bytes. Run by `bun test`; pure. The wanted values come from plain transformations written down here, not from the codecs.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { encode, orderEdits, splice } from '../../src/base/bytes.ts';
import { span } from '../../src/mcp/envelope.ts';
import { checkParams, headerParamsOf, paramHeaders } from '../../src/mcp/mirrored-params.ts';
import { legacyError, legacyResultEdits, modernRequestEdits } from '../../src/mcp/to-legacy.ts';
import { legacyRequestEdits, modernError, modernResultEdits } from '../../src/mcp/to-modern.ts';
import { ENVELOPE } from '../../src/scan/contract.ts';
import { messageOf, scanners, textOf } from '../fixtures/messages.ts';

type Json = Record<string, unknown>;

/** A member as it is spelled: its key, and all of `"key" : value`. */
interface Spelled {
  readonly key: string;
  readonly text: string;
}

const RUNS = 400;
const INFO = { name: 's', version: '1' };
const SERVER_INFO = 'io.modelcontextprotocol/serverInfo';

const blank = fc.constantFrom('', '', '', ' ', '\t', '\n', ' \r\n ');

/** Scalars as servers spell them, not as JavaScript would. */
const scalar = fc.oneof(
  fc.constantFrom('1e2', '1.0', '-0', '12345678901234567890', '0.10', '1E+2', 'null', 'true', 'false', '7'),
  fc.constantFrom('"\\u0041\\/"', '"\\ud83d\\ude00"', '"\\ud800"', '"}]\\",{["', '"\\\\"', '""', '"é\u2028"'),
  fc.string().map((text) => JSON.stringify(text)),
);

/** A key spelled plainly, with an escape in it, or with all of it escaped. */
const keyText = (key: string) =>
  fc.constantFrom(0, 0, 0, 1, 2).map((way) => {
    if (way === 0) return JSON.stringify(key);
    const escaped = (text: string) =>
      [...text].map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
    return way === 1 ? `"${escaped(key.slice(0, 1))}${key.slice(1)}"` : `"${escaped(key)}"`;
  });

/** Any JSON text. */
const { value } = fc.letrec<{ value: string; list: string; record: string }>((tie) => ({
  value: fc.oneof({ depthSize: 'small', withCrossShrink: true }, scalar, tie('list'), tie('record')),
  list: fc
    .tuple(fc.array(tie('value'), { maxLength: 3 }), blank, blank)
    .map(([items, a, b]) => `[${a}${items.join(`${b},${a}`)}${b}]`),
  record: fc
    .tuple(
      fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-z$_"\\é]{1,6}$/), tie('value')), {
        maxLength: 3,
        selector: ([key]) => key,
      }),
      blank,
      blank,
    )
    .map(
      ([entries, a, b]) =>
        `{${a}${entries.map(([key, text]) => `${JSON.stringify(key)}${b}:${a}${text}`).join(`${b},${a}`)}${b}}`,
    ),
}));

const spelled = (key: string, text: fc.Arbitrary<string>): fc.Arbitrary<Spelled> =>
  fc
    .tuple(keyText(key), blank, blank, text)
    .map(([name, a, b, body]) => ({ key, text: `${name}${a}:${b}${body}` }));

/** Members that no codec is about; their keys begin with x. */
const strangers = fc.uniqueArray(
  fc.stringMatching(/^x[a-z0-9]{0,4}$/).chain((key) => spelled(key, value)),
  { maxLength: 4, selector: (member) => member.key },
);

interface Made {
  readonly text: string;
  /** The members that must come out byte for byte and in this order. */
  readonly untouched: readonly string[];
}

/** An object of these members in any order, each of them there or not, amid strangers. */
function objectOf(
  members: readonly fc.Arbitrary<Spelled>[],
  isTouched: (key: string) => boolean,
): fc.Arbitrary<Made> {
  return fc
    .tuple(strangers, fc.tuple(...members.map((member) => fc.option(member, { nil: null }))), blank, blank)
    .chain(([more, own, a, b]) => {
      const all = [...more, ...own.filter((member) => member !== null)];
      return fc.shuffledSubarray(all, { minLength: all.length }).map((mixed) => ({
        text: `{${a}${mixed.map((member) => member.text).join(`${b},${a}`)}${b}}`,
        untouched: mixed.filter((member) => !isTouched(member.key)).map((member) => member.text),
      }));
    });
}

const text = (made: fc.Arbitrary<Made>) => made.map((one) => one.text);

function expectInOrder(whole: string, parts: readonly string[]): void {
  let from = 0;
  for (const part of parts) {
    const at = whole.indexOf(part, from);
    expect(at, `${part} in ${whole}`).toBeGreaterThanOrEqual(from);
    from = at + part.length;
  }
}

const isRecord = (given: unknown): given is Json =>
  typeof given === 'object' && given !== null && !Array.isArray(given);
const without = (record: Json, ...keys: string[]): Json =>
  Object.fromEntries(Object.entries(record).filter(([key]) => !keys.includes(key)));
const reply = (result: string) => messageOf(`{"jsonrpc":"2.0","id":"\\u0031","result":${result}}`);
const resultOf = (bytes: Uint8Array): unknown => JSON.parse(textOf(bytes)).result;

const TOUCHED = new Set([
  'resultType',
  'ttlMs',
  'cacheScope',
  '_meta',
  'tools',
  'structuredContent',
  'content',
]);
const metaText = fc.oneof(
  text(
    objectOf(
      [
        spelled(SERVER_INFO, fc.oneof(scalar, fc.constant('{"name":"own"}'))),
        spelled('progressToken', scalar),
      ],
      () => false,
    ),
  ),
  fc.constantFrom('null', '{}', '{ }', '[]'),
);
const schemaText = fc.oneof(
  text(objectOf([spelled('type', fc.constantFrom('"object"', '"array"', '["object"]'))], () => false)),
  fc.constantFrom('true', 'false', 'null'),
);
const toolText = fc.oneof(
  text(
    objectOf(
      [spelled('name', scalar), spelled('execution', value), spelled('outputSchema', schemaText)],
      () => false,
    ),
  ),
  fc.constantFrom('{}', '7', 'null'),
);
const listText = (item: fc.Arbitrary<string>) =>
  fc.oneof(
    fc
      .tuple(fc.array(item, { maxLength: 4 }), blank, blank)
      .map(([items, a, b]) => `[${a}${items.join(`${a},${b}`)}${b}]`),
    fc.constantFrom('null', '{}'),
  );
const blockText = text(
  objectOf(
    [spelled('type', fc.constantFrom('"text"', '"image"', '7')), spelled('text', scalar)],
    () => false,
  ),
);

const resultText = objectOf(
  [
    spelled('resultType', fc.constantFrom('"complete"', '"input_required"', '"\\u0063omplete"', '7', 'null')),
    spelled('ttlMs', fc.constantFrom('0', '500', '-1', '1.5', '"7"', 'null')),
    spelled('cacheScope', fc.constantFrom('"public"', '"private"', '"else"', '7')),
    spelled('_meta', metaText),
    spelled('tools', listText(toolText)),
    spelled('structuredContent', value),
    spelled('content', listText(blockText)),
  ],
  (key) => TOUCHED.has(key),
);
const method = fc.constantFrom('tools/call', 'tools/list', 'prompts/get', 'resources/read', 'x/y');

describe('results for modern clients', () => {
  const CACHEABLE = ['tools/list', 'resources/read'];

  function wantedModern(result: Json, of: string): Json {
    const wanted = { ...result };
    if (typeof result.resultType !== 'string') wanted.resultType = 'complete';
    if (CACHEABLE.includes(of)) {
      const isComplete = wanted.resultType === 'complete';
      const isTtl = Number.isInteger(result.ttlMs) && Number(result.ttlMs) >= 0;
      if (isComplete && !isTtl) wanted.ttlMs = 9;
      if (isComplete && result.cacheScope !== 'public' && result.cacheScope !== 'private')
        wanted.cacheScope = 'public';
    }
    const meta = isRecord(result._meta) ? result._meta : {};
    wanted._meta = isRecord(meta[SERVER_INFO]) ? meta : { ...meta, [SERVER_INFO]: INFO };
    if (of === 'tools/list' && Array.isArray(result.tools))
      wanted.tools = result.tools.map((tool: unknown) =>
        isRecord(tool) ? without(tool, 'execution') : tool,
      );
    return wanted;
  }

  test('are complete, and otherwise what they were', () => {
    fc.assert(
      fc.property(resultText, method, (made, of) => {
        const message = reply(made.text);
        const caching = { ttlMs: 9, cacheScope: 'public' } as const;
        const edits = modernResultEdits(message, of, encode(JSON.stringify(INFO)), caching);
        expect(orderEdits(edits)).toEqual(edits);
        const bytes = splice(message.bytes, edits);
        const wanted = wantedModern(JSON.parse(made.text), of);
        const got = resultOf(bytes);
        if (isRecord(got) && wanted.resultType !== 'complete' && CACHEABLE.includes(of)) {
          // What such a result says about caching means nothing, and may stay or be mended.
          for (const key of ['ttlMs', 'cacheScope']) {
            delete wanted[key];
            delete got[key];
          }
        }
        expect(got).toEqual(wanted);
        expectInOrder(textOf(bytes), made.untouched);
      }),
      { numRuns: RUNS },
    );
  });
});

describe('results for legacy clients', () => {
  function wantedLegacy(result: Json, of: string, raw: string): Json {
    const wanted = without(result, 'resultType', 'ttlMs', 'cacheScope');
    if (isRecord(result._meta) && SERVER_INFO in result._meta) {
      wanted._meta = without(result._meta, SERVER_INFO);
      if (Object.keys(result._meta).length === 1) delete wanted._meta;
    }
    if (of === 'tools/call' && 'structuredContent' in result && !isRecord(result.structuredContent)) {
      wanted.structuredContent = { result: result.structuredContent };
      const content: unknown[] = Array.isArray(result.content) ? result.content : [];
      const hasText = content.some((block) => isRecord(block) && block.type === 'text');
      wanted.content = hasText ? content : [...content, { type: 'text', text: raw }];
    }
    if (of === 'tools/list' && Array.isArray(result.tools)) wanted.tools = result.tools.map(legacyTool);
    return wanted;
  }

  function legacyTool(tool: unknown): unknown {
    if (!isRecord(tool)) return tool;
    const schema = tool.outputSchema;
    const around = (result: unknown) => ({ type: 'object', properties: { result }, required: ['result'] });
    if (schema === true) return { ...tool, outputSchema: around({}) };
    if (schema === false) return { ...tool, outputSchema: around({ not: {} }) };
    return isRecord(schema) && schema.type !== 'object' ? { ...tool, outputSchema: around(schema) } : tool;
  }

  /** The text block says the value as the server spelled it; its spelling is compared as a value. */
  function textAdded(result: unknown): unknown {
    const content = isRecord(result) && Array.isArray(result.content) ? result.content : [];
    const last: unknown = content.at(-1);
    return isRecord(last) ? last.text : undefined;
  }

  test('are stripped and wrapped, and otherwise what they were', () => {
    fc.assert(
      fc.property(resultText, method, (made, of) => {
        const message = reply(made.text);
        const edits = legacyResultEdits(message, of, '2025-11-25');
        expect(orderEdits(edits)).toEqual(edits);
        const bytes = splice(message.bytes, edits);
        const given: Json = JSON.parse(made.text);
        const got = resultOf(bytes);
        const said = String(textAdded(got));
        const wanted = wantedLegacy(given, of, said);
        expect(got).toEqual(wanted);
        if (textAdded(wanted) === said && textAdded(given) !== said)
          expect(JSON.parse(said)).toEqual(given.structuredContent);
        expectInOrder(textOf(bytes), made.untouched);
      }),
      { numRuns: RUNS },
    );
  });

  test('and a bridge there and back changes nothing that both eras know', () => {
    fc.assert(
      fc.property(
        objectOf([spelled('content', listText(blockText))], () => false),
        (made) => {
          const message = reply(made.text);
          const caching = { ttlMs: 0, cacheScope: 'private' } as const;
          const there = splice(
            message.bytes,
            modernResultEdits(message, 'tools/list', encode('{}'), caching),
          );
          const again = messageOf(textOf(there));
          const back = splice(again.bytes, legacyResultEdits(again, 'tools/list', '2025-11-25'));
          expect(textOf(back)).toBe(textOf(message.bytes));
        },
      ),
      { numRuns: RUNS },
    );
  });
});

describe('requests', () => {
  const requestMeta = fc.oneof(
    text(
      objectOf(
        [
          spelled('io.modelcontextprotocol/protocolVersion', fc.constant('"2026-07-28"')),
          spelled('io.modelcontextprotocol/clientCapabilities', value),
          spelled('io.modelcontextprotocol/other', value),
          spelled('progressToken', fc.constantFrom('1', '"\\u0041"')),
        ],
        () => false,
      ),
    ),
    fc.constantFrom('{}', '{ }'),
  );
  const params = objectOf(
    [
      spelled('_meta', requestMeta),
      spelled('inputResponses', value),
      spelled('requestState', scalar),
      spelled('arguments', value),
      spelled('name', fc.constant('"n"')),
    ],
    (key) => ['_meta', 'inputResponses', 'requestState'].includes(key),
  );
  const bodyOf = (made: Made) => ` {"params" : ${made.text} ,"method":"tools/call","jsonrpc":"2.0","id" : 1}`;
  const unprefixed = (meta: unknown): Json =>
    Object.fromEntries(
      Object.entries(isRecord(meta) ? meta : {}).filter(
        ([key]) => !key.startsWith('io.modelcontextprotocol/'),
      ),
    );

  test('lose their envelope, and nothing else', () => {
    fc.assert(
      fc.property(params, (made) => {
        const { bytes, envelope } = messageOf(bodyOf(made));
        const edits = legacyRequestEdits(bytes, envelope);
        expect(orderEdits(edits)).toEqual(edits);
        const whole = textOf(splice(bytes, edits));
        const given: Json = JSON.parse(made.text);
        const wanted = without(given, 'inputResponses', 'requestState', '_meta');
        const meta = unprefixed(given._meta);
        if (isRecord(given._meta) && (Object.keys(meta).length > 0 || Object.keys(given._meta).length === 0))
          wanted._meta = meta;
        expect(JSON.parse(whole)).toEqual({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: wanted });
        expectInOrder(whole, made.untouched);
      }),
      { numRuns: RUNS },
    );
  });

  test('get one, and nothing else', () => {
    const meta = encode(
      '"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}',
    );
    const wantedMeta: Json = JSON.parse(`{${textOf(meta)}}`);
    fc.assert(
      fc.property(params, fc.boolean(), (made, isRetry) => {
        const { bytes, envelope } = messageOf(bodyOf(made));
        const retry = isRetry ? encode('"inputResponses":{"k":1},"requestState":"s"') : undefined;
        const edits = modernRequestEdits(bytes, envelope, meta, retry);
        expect(orderEdits(edits)).toEqual(edits);
        const whole = textOf(splice(bytes, edits));
        const given: Json = JSON.parse(made.text);
        expect(JSON.parse(whole)).toEqual({
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/call',
          params: {
            ...without(given, 'inputResponses', 'requestState'),
            _meta: { ...unprefixed(given._meta), ...wantedMeta },
            ...(isRetry ? { inputResponses: { k: 1 }, requestState: 's' } : {}),
          },
        });
        expectInOrder(whole, made.untouched);
        for (const scanner of scanners()) messageOf(whole, scanner);
      }),
      { numRuns: RUNS },
    );
  });
});

describe('errors', () => {
  const members = objectOf(
    [
      spelled('message', scalar),
      spelled('data', fc.oneof(value, text(objectOf([spelled('uri', scalar)], () => false)))),
      spelled('nothing', value),
    ],
    (key) => key === 'data',
  );
  const codes = fc.constantFrom(-32002, -32020, -32022, -32602, -32000);

  test('change their code, and gain a URI where they lack one', () => {
    fc.assert(
      fc.property(members, codes, blank, (made, code, ws) => {
        const isAlone = made.untouched.length === 0 && !made.text.includes('"');
        const whole = made.text.replace('{', `{${ws}"code"${ws}:${ws}${code}${ws}${isAlone ? '' : ','}`);
        const message = messageOf(`{"jsonrpc":"2.0","id":1,"error":${whole}}`);
        const given: Json = JSON.parse(whole);
        const modern = modernError(message, encode('"u:\\/v"'));
        const legacy = legacyError(message, 'resources/read');
        if (code === -32002 && modern !== null) {
          const data = isRecord(given.data) ? { uri: 'u:/v', ...given.data } : { uri: 'u:/v' };
          expect(JSON.parse(textOf(modern))).toEqual({ ...given, code: -32602, data });
          expectInOrder(textOf(modern), made.untouched);
        }
        expect(modern === null).toBe(code === -32602 || code === -32000);
        const isMissing =
          isRecord(given.data) &&
          Object.keys(given.data).join() === 'uri' &&
          typeof given.data.uri === 'string';
        const isChanged = code === -32020 || code === -32022 || (code === -32602 && isMissing);
        expect(legacy === null).toBe(!isChanged);
        if (legacy === null) return;
        expect(JSON.parse(textOf(legacy))).toEqual({ ...given, code: code === -32602 ? -32002 : -32603 });
        expectInOrder(textOf(legacy), made.untouched);
      }),
      { numRuns: RUNS },
    );
  });
});

describe('mirrored arguments', () => {
  const tool = encode(
    JSON.stringify({
      inputSchema: {
        properties: {
          s: { type: 'string', 'x-mcp-header': 'S' },
          'n é': {
            properties: {
              i: { type: 'integer', 'x-mcp-header': 'I' },
              b: { type: 'boolean', 'x-mcp-header': 'B' },
            },
          },
        },
      },
    }),
  );
  const inner = text(objectOf([spelled('i', scalar), spelled('b', scalar)], () => false));
  const args = fc.oneof(
    text(objectOf([spelled('s', scalar), spelled('n é', fc.oneof(inner, value))], () => false)),
    value,
  );

  test('what is sent is what is expected, and HTTP can carry it', () => {
    const wanted = headerParamsOf(tool);
    fc.assert(
      fc.property(args, (raw) => {
        const { bytes, envelope } = messageOf(
          `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":${raw}}}`,
        );
        const at = span(envelope, ENVELOPE.arguments);
        const headers = paramHeaders(wanted, bytes, at);
        for (const [i, one] of headers.entries())
          if (i % 2 === 1) expect(one).toMatch(/^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/);
        const fault = checkParams(wanted, bytes, at, headers);
        // A lone surrogate has no UTF-8, so that no header can say it.
        if (!/\\u[dD][89a-fA-F]/.test(raw)) expect(fault).toBeNull();
        const names = headers.filter((_one, i) => i % 2 === 0);
        for (const name of names) {
          const less = headers.filter((_one, i) => headers[i - (i % 2)] !== name);
          expect(checkParams(wanted, bytes, at, less)?.code).toBe('GW_MCP_HEADER');
        }
      }),
      { numRuns: RUNS },
    );
  });
});
