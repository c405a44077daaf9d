// Messages in the shapes that MCP peers of all revisions send, written for this suite, and faulty texts with their verdicts.
// Called by scanner.ts and its test. Promises: plain data; no message is taken from anywhere else.
import { LIMITS } from '../../src/base/limits.ts';
import { SCAN } from '../../src/scan/contract.ts';

const modernMeta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'probe', version: '1.2.3', title: 'Sonde né' },
  'io.modelcontextprotocol/clientCapabilities': {
    elicitation: { form: {}, url: {} },
    sampling: { tools: {} },
  },
};
const longMeta = {
  ...modernMeta,
  progressToken: 'p-1',
  'io.modelcontextprotocol/logLevel': 'info',
  traceparent: '00-ab-cd-01',
};

const tool = {
  name: 'weather_lookup',
  title: 'Wetter 🌤',
  description: 'Looks up the weather.\nTakes a "city" and a path such as C:\\tmp.',
  inputSchema: {
    type: 'object',
    properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1 } },
  },
  annotations: { readOnlyHint: true, openWorldHint: false },
};

const objects: unknown[] = [
  // legacy, client to server
  {
    jsonrpc: '2.0',
    id: 0,
    method: 'initialize',
    params: { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'a', version: '0' } },
  },
  {
    jsonrpc: '2.0',
    id: 'init',
    method: 'initialize',
    params: {
      protocolVersion: '2025-11-25',
      capabilities: { roots: { listChanged: true } },
      clientInfo: { name: 'b', version: '1', icons: [] },
    },
  },
  { jsonrpc: '2.0', method: 'notifications/initialized' },
  { jsonrpc: '2.0', id: 1, method: 'ping' },
  { jsonrpc: '2.0', id: 2, method: 'tools/list', params: { cursor: 'abc==' } },
  {
    jsonrpc: '2.0',
    id: 3,
    method: 'tools/call',
    params: { name: 'echo', arguments: { message: 'hi' }, _meta: { progressToken: 7 } },
  },
  {
    jsonrpc: '2.0',
    id: 4,
    method: 'prompts/get',
    params: { name: 'review', arguments: { code: 'if (a < b) {}' } },
  },
  { jsonrpc: '2.0', id: 5, method: 'resources/read', params: { uri: 'file:///tmp/é.txt' } },
  { jsonrpc: '2.0', id: 6, method: 'resources/subscribe', params: { uri: 'test://static/1' } },
  {
    jsonrpc: '2.0',
    id: 7,
    method: 'completion/complete',
    params: { ref: { type: 'ref/prompt', name: 'review' }, argument: { name: 'lang', value: 'ty' } },
  },
  {
    jsonrpc: '2.0',
    id: 8,
    method: 'completion/complete',
    params: {
      ref: { type: 'ref/resource', uri: 'db://{table}' },
      argument: { name: 'table', value: '' },
      context: { arguments: {} },
    },
  },
  { jsonrpc: '2.0', id: 9, method: 'logging/setLevel', params: { level: 'debug' } },
  { jsonrpc: '2.0', id: 10, method: 'tasks/get', params: { taskId: '9f-3' } },
  { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 3, reason: 'user' } },
  {
    jsonrpc: '2.0',
    method: 'notifications/progress',
    params: { progressToken: 'tok', progress: 0.5, total: 1, message: 'half' },
  },
  { jsonrpc: '2.0', method: 'notifications/roots/list_changed' },
  // legacy, server to client
  {
    jsonrpc: '2.0',
    id: 0,
    result: {
      protocolVersion: '2025-06-18',
      capabilities: { tools: {}, logging: {} },
      serverInfo: { name: 's', version: '2' },
      instructions: 'none',
    },
  },
  { jsonrpc: '2.0', id: 2, result: { tools: [tool, { ...tool, name: 'second' }], nextCursor: '2' } },
  {
    jsonrpc: '2.0',
    id: 3,
    result: {
      content: [{ type: 'text', text: '{"inner":[1,2,"\\u00e9"]}' }],
      isError: false,
      _meta: { took: 12 },
    },
  },
  {
    jsonrpc: '2.0',
    id: 's1',
    method: 'sampling/createMessage',
    params: { messages: [{ role: 'user', content: { type: 'text', text: 'hello' } }], maxTokens: 100 },
  },
  { jsonrpc: '2.0', id: 11, error: { code: -32601, message: 'Method not found', data: { method: 'x' } } },
  { jsonrpc: '2.0', id: null, error: { code: -32700, message: 'Parse error' } },
  {
    jsonrpc: '2.0',
    method: 'notifications/message',
    params: { level: 'warning', logger: 'db', data: { n: [1, 2.5, -3e10, 1e-7] } },
  },
  { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'test://static/1' } },
  // modern, as SDK clients order it: jsonrpc and id last
  { method: 'server/discover', params: { _meta: modernMeta }, jsonrpc: '2.0', id: 1 },
  {
    method: 'tools/call',
    params: { name: 'sum', arguments: { a: 1, b: 2 }, _meta: longMeta },
    jsonrpc: '2.0',
    id: 2,
  },
  {
    method: 'tools/call',
    params: {
      name: 'ask',
      inputResponses: { who: { action: 'accept', content: { n: 'Ada' } } },
      requestState: 'v1.Zm9v.sig',
      _meta: modernMeta,
    },
    jsonrpc: '2.0',
    id: 3,
  },
  {
    method: 'subscriptions/listen',
    params: {
      notifications: { toolsListChanged: true, resourceSubscriptions: ['a://b'] },
      _meta: modernMeta,
    },
    jsonrpc: '2.0',
    id: 'L',
  },
  {
    method: 'tasks/update',
    params: { taskId: 't', inputResponses: {}, _meta: modernMeta },
    jsonrpc: '2.0',
    id: 5,
  },
  {
    result: {
      content: [{ type: 'text', text: '3' }],
      resultType: 'complete',
      _meta: { 'io.modelcontextprotocol/serverInfo': { name: 's', version: '1' } },
    },
    jsonrpc: '2.0',
    id: 2,
  },
  {
    result: {
      resultType: 'input_required',
      requestState: 'x',
      inputRequests: { who: { method: 'elicitation/create', params: { mode: 'form', message: 'Name?' } } },
    },
    jsonrpc: '2.0',
    id: 1,
  },
  {
    result: { tools: [], ttlMs: 60000, cacheScope: 'public', resultType: 'complete', nextCursor: '' },
    jsonrpc: '2.0',
    id: 9,
  },
  {
    method: 'notifications/subscriptions/acknowledged',
    params: { _meta: { 'io.modelcontextprotocol/subscriptionId': 'L' }, notifications: {} },
    jsonrpc: '2.0',
  },
  {
    jsonrpc: '2.0',
    id: 4,
    error: { code: -32022, message: 'no', data: { supported: ['2026-07-28'], requested: '2030-01-01' } },
  },
  // unknown fields, odd but legal shapes
  {
    'x-trace': [[[]]],
    jsonrpc: '2.0',
    id: -7,
    method: 'vendor/thing',
    params: [1, 'two', null, { three: true }],
    extra: {},
  },
  { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: '', arguments: {}, _meta: {} } },
  { jsonrpc: '2.0', id: 1, method: 'm', params: {} },
  { jsonrpc: '2.0', id: 1, method: 'm', params: [] },
  // shapes that a flag is for
  {},
  { jsonrpc: '1.0', id: 1, method: 'm' },
  { id: 1, method: 'm' },
  { jsonrpc: 2, id: 1.5, method: 3, params: 'p' },
  { jsonrpc: '2.0', id: true, method: null, params: null },
  { jsonrpc: '2.0', id: 1e21, method: 'm', params: { _meta: 1, ref: 2 } },
  { jsonrpc: '2.0', id: 1, method: 'm', params: { _meta: [], ref: [] } },
  { jsonrpc: '2.0', id: 1, result: 1, error: {} },
  { jsonrpc: '2.0', id: 1, method: 'm', result: {} },
  { jsonrpc: '2.0', id: 1, method: 'm', error: [] },
  { jsonrpc: '2.0', id: 1, result: null },
  { jsonrpc: '2.0', id: 1, error: 'no' },
  // batches and values that are no message
  [],
  [{ jsonrpc: '2.0', id: 1, method: 'ping' }],
  [{ jsonrpc: '2.0', id: 1, method: 'ping' }, { jsonrpc: '2.0', method: 'n' }, 3, [], 'x'],
  true,
  'text',
  -0.5e-3,
  null,
];

const texts: string[] = [
  ' \t{ "jsonrpc" : "2.0" ,\r\n "id" : 1 , "method" : "m" }\n',
  '{"jsonrpc":"2.0","id":12345678901234567890123,"method":"m","params":{"name":"\\u00e9\\ud83d\\ude00","uri":"a\\/b"}}',
  // keys in disguise
  '{"\\u006asonrpc":"2.0","i\\u0064":1,"\\u006dethod":"\\u0074ools/call","params":{"n\\u0061me":"x","_met\\u0061":{"progressTok\\u0065n":1}}}',
  '{"jsonrpc":"\\u0032.0","id":"\\"","method":"a\\\\","par\\u0061ms":{"\\u005fmeta":{"io.modelcontextprotocol\\/protocolVersion":"2026-07-28"}}}',
  '{"meth\\od":1}'.replace('\\o', '\\u006f'),
  '{"m\\u0000ethod":1,"method\\u0020":2,"\\u00e9":3,"id\\ud800":4,"methodé":5}',
  `{"${'k'.repeat(LIMITS.jsonKnownKeyBytesMax + 1)}\\u0061":1,"${'\\u0061'.repeat(LIMITS.jsonKnownKeyBytesMax + 1)}":2,"id":3}`,
  // keys twice, at every level, in disguise too
  '{"id":1,"id":2,"method":"a","jsonrpc":"2.0"}',
  '{"id":1,"\\u0069d":"x","method":"a","jsonrpc":"2.0","x":1,"x":2}',
  '{"method":"a","params":{"name":"x","name":"y","z":1,"z":2}}',
  '{"method":"a","params":{"name":"x","uri":"u","ref":{"name":"n"},"_meta":{"progressToken":1}},"params":{"cursor":"c"}}',
  '{"method":"a","params":{"name":"x","ref":{"name":"n"}},"params":[1]}',
  '{"method":"a","params":{"_meta":{"progressToken":1,"io.modelcontextprotocol/logLevel":"info"},"_meta":{"progressToken":2}}}',
  '{"method":"a","params":{"_meta":{"progressToken":1,"progressToken":2},"ref":{"uri":1,"uri":2,"type":3}}}',
  '{"method":"a","params":{"ref":{"type":"t","name":"n"},"ref":{"uri":"u"},"ref":3}}',
  '{"result":{"_meta":1,"_meta":2,"resultType":"a","resultType":"b"},"result":{"nextCursor":"c"}}',
  '{"error":{"code":1,"code":2},"error":{"message":"x"},"id":1}',
  '{"params":{"params":{"name":1},"method":"x","_meta":{"_meta":{"progressToken":1}}},"result":{"name":1,"code":2},"error":{"name":1,"_meta":2}}',
  // strings that look like structure
  '{"method":"{\\"id\\":[1,2]}","params":{"arguments":{"a":"}]{[,:","b":"\\\\\\\\\\"","c":"\\\\"}}}',
  '"\\ud800\\udfff\\udc00\\ud83d"',
  `{"params":{"arguments":"${'\\\\'.repeat(40)}${'\\"'.repeat(40)}${'x\\n'.repeat(40)}"}}`,
  `${' '.repeat(130)}{"id":1}${'\n'.repeat(130)}`,
];

/** Every well-formed message: compact, and the larger ones pretty-printed with two widths as well. */
export const CORPUS: readonly string[] = [
  ...objects.map((value) => JSON.stringify(value)),
  ...objects.filter((value) => typeof value === 'object').map((value) => JSON.stringify(value, null, 2)),
  ...texts,
];

/** `levels` arrays in each other. */
export function nestedArrays(levels: number): string {
  return '['.repeat(levels) + ']'.repeat(levels);
}

/** `levels` objects in each other. */
export function nestedObjects(levels: number): string {
  return `${'{"a":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`;
}

const deep = LIMITS.jsonDepthMax;

/** Texts with the verdict that the contract's words lead to. Bytes beyond ASCII are given as arrays. */
export const VERDICTS: readonly (readonly [name: string, text: string | readonly number[], code: number])[] =
  [
    ['nothing', '', SCAN.empty],
    ['one blank', ' ', SCAN.empty],
    ['all kinds of white space', ' \t\r\n'.repeat(50), SCAN.empty],
    ['a form feed', '\f', SCAN.syntax],
    ['a no-break space', [0xc2, 0xa0], SCAN.syntax],
    ['a byte-order mark before a message', [0xef, 0xbb, 0xbf, 0x7b, 0x7d], SCAN.syntax],
    ['a byte-order mark alone', [0xef, 0xbb, 0xbf], SCAN.syntax],
    ['UTF-16', [0xff, 0xfe, 0x7b, 0x00], SCAN.utf8],
    ['NUL behind a message', '{}\0', SCAN.syntax],
    ['two messages', '{}{}', SCAN.syntax],
    ['two messages on two lines', '{}\n{}', SCAN.syntax],
    ['a comma behind', '{},', SCAN.syntax],
    ['a comma at the end of an array', '[1,]', SCAN.syntax],
    ['a comma at the end of an object', '{"a":1,}', SCAN.syntax],
    ['a comma at the start', '[,1]', SCAN.syntax],
    ['two commas', '[1,,2]', SCAN.syntax],
    ['no comma', '[1 2]', SCAN.syntax],
    ['no colon', '{"a" 1}', SCAN.syntax],
    ['two colons', '{"a"::1}', SCAN.syntax],
    ['a colon for a comma', '["a":1]', SCAN.syntax],
    ['a comma for a colon', '{"a",1}', SCAN.syntax],
    ['a key without value', '{"a"}', SCAN.syntax],
    ['a key that is no string', '{a:1}', SCAN.syntax],
    ['a number as key', '{1:1}', SCAN.syntax],
    ['brackets that do not match', '[}', SCAN.syntax],
    ['brackets that do not match, further in', '{"a":[1}]', SCAN.syntax],
    ['a bracket too many', '{}}', SCAN.syntax],
    ['a bracket too few', '{"a":{}', SCAN.syntax],
    ['single quotes', "{'a':1}", SCAN.syntax],
    ['a comment', '{}//x', SCAN.syntax],
    ['an open string', '{"a":"b', SCAN.syntax],
    ['an open string that ends in a backslash', '"a\\', SCAN.syntax],
    ['an escape that is none', '"\\x41"', SCAN.syntax],
    ['an escaped digit', '"\\0"', SCAN.syntax],
    ['an escape cut short', '"\\u12"', SCAN.syntax],
    ['an escape with a bad digit', '"\\u12g4"', SCAN.syntax],
    ['an escaped control character', '"\\\n"', SCAN.syntax],
    ['a backslash outside of strings', '{\\"a":1}', SCAN.syntax],
    ['a raw newline in a string', '"a\nb"', SCAN.syntax],
    ['a raw tab in a string', '"a\tb"', SCAN.syntax],
    ['DEL in a string', '"\x7f"', SCAN.ok],
    ['a string after a number', '[1"a"]', SCAN.syntax],
    ['a number after a string', '["a"1]', SCAN.syntax],
    ['two strings', '["a""b"]', SCAN.syntax],
    ['a wrong literal', '[tru]', SCAN.syntax],
    ['a literal in capitals', '[True]', SCAN.syntax],
    ['a literal with a tail', '[nullx]', SCAN.syntax],
    ['NaN', '[NaN]', SCAN.syntax],
    ['Infinity', '[-Infinity]', SCAN.syntax],
    ['a control character that looks like a comma to fast scanners', '[1\x0c2]', SCAN.syntax],
    ['a control character that looks like a colon to fast scanners', '{"a"\x1a1}', SCAN.syntax],
    ['arrays up to the limit', nestedArrays(deep), SCAN.ok],
    ['arrays one short of the limit', nestedArrays(deep - 1), SCAN.ok],
    ['arrays beyond the limit', nestedArrays(deep + 1), SCAN.depth],
    ['objects up to the limit', nestedObjects(deep), SCAN.ok],
    ['objects beyond the limit', nestedObjects(deep + 1), SCAN.depth],
    ['known levels up to the limit', `{"params":{"_meta":{"a":${nestedArrays(deep - 3)}}}}`, SCAN.ok],
    ['known levels beyond the limit', `{"params":{"_meta":{"a":${nestedArrays(deep - 2)}}}}`, SCAN.depth],
    ['a batch up to the limit', `[1,${nestedArrays(deep - 1)}]`, SCAN.ok],
    ['a batch beyond the limit', `[1,${nestedArrays(deep)}]`, SCAN.depth],
    ['a depth bomb that never closes', '['.repeat(100_000), SCAN.depth],
    ['a depth bomb of objects', '{"a":'.repeat(50_000), SCAN.depth],
    ['a fault before too much depth', `[1,,${nestedArrays(deep + 1)}]`, SCAN.syntax],
    ['a fault after too much depth', `[${nestedArrays(deep)},,]`, SCAN.depth],
    ['a bad escape before too much depth', `["\\x",${nestedArrays(deep + 1)}]`, SCAN.syntax],
    ['a bad escape after too much depth', `[${nestedArrays(deep)},"\\x"]`, SCAN.depth],
    ['an open string after too much depth', `${'['.repeat(deep + 1)}"`, SCAN.depth],
    ['too much depth where no value may stand', `${'['.repeat(deep)}1[`, SCAN.syntax],
    ['bad UTF-8 after too much depth', [...new Array<number>(deep + 1).fill(0x5b), 0xff], SCAN.utf8],
    ['a huge number', '9'.repeat(5000), SCAN.ok],
    ['a huge exponent', '[1e999999999,-1E-99999]', SCAN.ok],
    ['a long fraction', `[0.${'0'.repeat(300)}1]`, SCAN.ok],
  ];

/** What RFC 8259 §6 says of these, each alone, in an array, and as a member. */
export const NUMBERS: readonly (readonly [text: string, isNumber: boolean])[] = [
  ['0', true],
  ['-0', true],
  ['10', true],
  ['0.0', true],
  ['1.5', true],
  ['1e5', true],
  ['1E+5', true],
  ['1e-05', true],
  ['0e0', true],
  ['-1.25e+30', true],
  ['', false],
  ['-', false],
  ['+1', false],
  ['01', false],
  ['-01', false],
  ['00', false],
  ['1.', false],
  ['.5', false],
  ['-.5', false],
  ['1.e5', false],
  ['1e', false],
  ['1e+', false],
  ['1e5.5', false],
  ['1ee5', false],
  ['1.2.3', false],
  ['--1', false],
  ['1-', false],
  ['1a', false],
  ['0x10', false],
  ['1_000', false],
  ['1"', false],
  ['1\\u0030', false],
  ['١', false],
];

/** Byte sequences inside a string: is this UTF-8 (RFC 3629)? Each class at its edges. */
export const UTF8: readonly (readonly [name: string, bytes: readonly number[], isUtf8: boolean])[] = [
  ['two bytes, lowest', [0xc2, 0x80], true],
  ['two bytes, highest', [0xdf, 0xbf], true],
  ['three bytes, lowest', [0xe0, 0xa0, 0x80], true],
  ['three bytes before the surrogates', [0xed, 0x9f, 0xbf], true],
  ['three bytes after the surrogates', [0xee, 0x80, 0x80], true],
  ['three bytes, highest', [0xef, 0xbf, 0xbf], true],
  ['four bytes, lowest', [0xf0, 0x90, 0x80, 0x80], true],
  ['four bytes, highest', [0xf4, 0x8f, 0xbf, 0xbf], true],
  ['a lone continuation', [0x80], false],
  ['two continuations', [0xbf, 0xbf], false],
  ['two bytes, overlong', [0xc0, 0x80], false],
  ['two bytes, overlong, highest', [0xc1, 0xbf], false],
  ['three bytes, overlong', [0xe0, 0x9f, 0xbf], false],
  ['four bytes, overlong', [0xf0, 0x8f, 0xbf, 0xbf], false],
  ['the first surrogate', [0xed, 0xa0, 0x80], false],
  ['the last surrogate', [0xed, 0xbf, 0xbf], false],
  ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80], false],
  ['a lead byte of old', [0xf5, 0x80, 0x80, 0x80], false],
  ['five bytes', [0xf8, 0x88, 0x80, 0x80, 0x80], false],
  ['FE and FF', [0xfe, 0xff], false],
  ['two bytes, cut', [0xc3], false],
  ['three bytes, cut after one', [0xe2], false],
  ['three bytes, cut after two', [0xe2, 0x82], false],
  ['four bytes, cut after three', [0xf0, 0x9f, 0x98], false],
  ['a lead byte inside of a character', [0xe2, 0xc3, 0xa9], false],
  ['a continuation too many', [0xc3, 0xa9, 0xa9], false],
];
