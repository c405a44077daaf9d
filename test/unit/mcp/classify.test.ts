// Era and header agreement: the verdict table of the protocol, row by row.
// Run by `bun test`; pure, no sockets.
import { describe, expect, test } from 'bun:test';
import { encode } from '../../../src/base/bytes.ts';
import { GatewayError } from '../../../src/base/errors.ts';
import { checkBatch, classify } from '../../../src/mcp/classify.ts';
import { ENVELOPE } from '../../../src/scan/contract.ts';
import { MODERN_META, messageOf, modernRequest, scanners } from '../../fixtures/messages.ts';

const NONE = { protocolVersion: null, mcpMethod: null, mcpName: null };
const MODERN = '2026-07-28';

function verdict(
  body: string,
  headers: Partial<typeof NONE | Record<keyof typeof NONE, string | null>> = {},
): string {
  const message = messageOf(body);
  const era = classify(message.bytes, message.envelope, { ...NONE, ...headers });
  return era instanceof GatewayError ? era.code : era;
}

const call = (name: string): string => modernRequest(1, 'tools/call', { name });
const good = { protocolVersion: MODERN, mcpMethod: 'tools/call', mcpName: 'echo' };

describe('classify', () => {
  const rows: readonly [string, string, Record<string, string | null>, string][] = [
    ['a modern call with its headers', call('echo'), good, 'modern'],
    ['an encoded name', call('é'), { ...good, mcpName: '=?base64?w6k=?=' }, 'modern'],
    [
      'another version in the header',
      call('echo'),
      { ...good, protocolVersion: '2025-11-25' },
      'GW_MCP_HEADER',
    ],
    ['no version header', call('echo'), { ...good, protocolVersion: null }, 'GW_MCP_HEADER'],
    ['no method header', call('echo'), { ...good, mcpMethod: null }, 'GW_MCP_HEADER'],
    ['another method header', call('echo'), { ...good, mcpMethod: 'tools/list' }, 'GW_MCP_HEADER'],
    ['method in another case', call('echo'), { ...good, mcpMethod: 'Tools/Call' }, 'GW_MCP_HEADER'],
    ['no name header', call('echo'), { ...good, mcpName: null }, 'GW_MCP_HEADER'],
    ['another name', call('danger'), good, 'GW_MCP_HEADER'],
    ['a repeated name header', call('echo'), { ...good, mcpName: 'echo, echo' }, 'GW_MCP_HEADER'],
    [
      'a name that is spelled like a sentinel of another',
      call('=?base64?w6k=?='),
      { ...good, mcpName: '=?base64?w6k=?=' },
      'GW_MCP_HEADER',
    ],
    [
      "a header that is the body's escapes and not its text",
      call('echo').replace('"name":"echo"', '"name":"ec\\u0068o"'),
      { ...good, mcpName: 'ec\\u0068o' },
      'GW_MCP_HEADER',
    ],
    ['an escaped name', call('echo').replace('"name":"echo"', '"name":"ec\\u0068o"'), good, 'modern'],
    ['a broken sentinel', call('echo'), { ...good, mcpName: '=?base64?e?=' }, 'GW_MCP_HEADER'],
    [
      'a claim that is no string',
      JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/list',
        params: { _meta: { ...MODERN_META, 'io.modelcontextprotocol/protocolVersion': 1 } },
      }),
      {},
      'GW_MCP_META',
    ],
    [
      'no capabilities',
      JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/list',
        params: { _meta: { 'io.modelcontextprotocol/protocolVersion': MODERN } },
      }),
      { protocolVersion: MODERN, mcpMethod: 'tools/list' },
      'GW_MCP_META',
    ],
    ['initialize', '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}', {}, 'legacy'],
    [
      'initialize under a modern header',
      '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}',
      { protocolVersion: MODERN },
      'GW_MCP_HEADER',
    ],
    [
      'no claim under a modern header',
      '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
      { protocolVersion: MODERN },
      'GW_MCP_META',
    ],
    [
      'no claim',
      '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
      { protocolVersion: '2025-06-18' },
      'legacy',
    ],
    [
      'a legacy client that sends Mcp-Method anyway',
      '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
      { mcpMethod: 'tools/list' },
      'legacy',
    ],
    ['a response', '{"jsonrpc":"2.0","id":1,"result":{}}', { protocolVersion: MODERN }, 'legacy'],
    ['a notification', '{"jsonrpc":"2.0","method":"notifications/x"}', {}, 'legacy'],
    [
      'a notification under a modern header',
      '{"jsonrpc":"2.0","method":"notifications/x"}',
      { protocolVersion: MODERN },
      'modern',
    ],
    [
      'an escaped method',
      '{"jsonrpc":"2.0","id":1,"method":"\\u0074ools/call","params":{"name":"echo","_meta":' +
        JSON.stringify(MODERN_META) +
        '}}',
      good,
      'modern',
    ],
  ];
  for (const [what, body, headers, expected] of rows)
    test(what, () => expect(verdict(body, headers)).toBe(expected));
});

describe('batches', () => {
  const check = (body: string): number | string => {
    const [scanner] = scanners();
    if (scanner === undefined) throw new Error('no scanner');
    const result = checkBatch(scanner, encode(body), new Int32Array(ENVELOPE.length), 3);
    return result instanceof GatewayError ? result.code : result;
  };
  test('counts the requests of a legacy batch', () => {
    expect(
      check('[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/x"}]'),
    ).toBe(1);
  });
  test('refuses modern elements, nested batches, bad elements and too many', () => {
    expect(check(`[${modernRequest(1, 'tools/list')}]`)).toBe('GW_MCP_BATCH');
    expect(check('[[]]')).toBe('GW_MCP_BATCH');
    expect(check('[1]')).toBe('GW_MCP_MESSAGE');
    expect(check(`[${Array(4).fill('{"jsonrpc":"2.0","id":1,"method":"ping"}').join(',')}]`)).toBe(
      'GW_MCP_BATCH',
    );
  });
});
