// Calls of an aggregate on their way to one member: what changes in the message, and what stays byte for byte.
// Runs proxy/routing.ts behind the pipeline, over fake upstreams, with every scanner that there is.
import { describe, expect, test } from 'bun:test';
import { decode, encode } from '../../../src/base/bytes.ts';
import { METHOD } from '../../../src/mcp/protocol.ts';
import { loadAddon } from '../../../src/scan/addon.ts';
import { ENVELOPE } from '../../../src/scan/contract.ts';
import { portableScanner } from '../../../src/scan/portable.ts';
import { routedPlace } from '../../../src/scan/routed.ts';
import { jsonOf, Lab, type LabOptions, legacyScript, textResult } from '../../fixtures/lab.ts';
import { MODERN_META } from '../../fixtures/messages.ts';

const { scanner: addon, failure } = loadAddon();
if (addon === null) console.log(`routing: not tested with the addon (${failure})`);
const scanners = addon === null ? [portableScanner()] : [portableScanner(), addon];

const answering = (name: string) => legacyScript(name, (message) => textResult(message, name));
const SERVERS: LabOptions['servers'] = { a: answering('a'), 'a.b': answering('a.b') };

describe.each(scanners.map((scanner) => [scanner.name, scanner] as const))(
  'scanned by %s',
  (_name, scanner) => {
    const sent = async (message: string): Promise<string[]> => {
      const lab = new Lab({ servers: SERVERS, scanner });
      const session = await lab.initialize();
      const before = ['a', 'a.b'].map((name) => lab.fake(name).sent.length);
      const seen = lab.post(message, { session });
      await lab.sim.advance(10);
      expect(seen.exchange.fault).toBeNull();
      const bodies = ['a', 'a.b'].flatMap((name, i) =>
        lab
          .fake(name)
          .sent.slice(before[i])
          .map(({ body }) => `${name}: ${decode(body)}`),
      );
      return bodies.length > 0 ? bodies : [`refused: ${seen.exchange.errorCode}`];
    };

    test('the mark goes, and nothing else changes', async () => {
      const call = (name: string): string =>
        `{"params" : {"arguments":{"x":1.0,"name":"a__"},"name": ${name} , "y":[]},"method":"tools/call","id":7,"jsonrpc":"2.0"}`;
      expect(await sent(call('"a__read"'))).toEqual([`a: ${call('"read"')}`]);
      expect(await sent(call('"a.b__é__x"'))).toEqual([`a.b: ${call('"é__x"')}`]);
      expect(await sent(call('"a__"'))).toEqual([`a: ${call('""')}`]);
      expect(await sent(call('"b__read"'))).toEqual(['refused: GW_ROUTE_TOOL']);
      expect(await sent(call('7'))).toEqual(['refused: GW_ROUTE_TOOL']);
    });

    test('what is spelled with escapes goes where its plain spelling goes', async () => {
      const call = (method: string, name: string): string =>
        `{"jsonrpc":"2.0","id":7,"method":"${method}","params":{"name":"${name}"}}`;
      expect(await sent(call('tools/call', 'a_\\u005fr\\"x'))).toEqual([`a: ${call('tools/call', 'r\\"x')}`]);
      expect(await sent(call('tools/call', '\\u0061.b__t'))).toEqual([`a.b: ${call('tools/call', 't')}`]);
      expect(await sent(call('tools\\/call', 'a__t'))).toEqual([`a: ${call('tools\\/call', 't')}`]);
      expect(await sent(call('prompts/get', 'c\\u005f_t'))).toEqual(['refused: GW_ROUTE_PROMPT']);
    });

    test('URIs, task ids and completions', async () => {
      const message = (method: string, params: string): string =>
        `{"jsonrpc":"2.0","id":7,"method":"${method}","params":{${params}}}`;
      for (const method of [METHOD.resourcesRead, METHOD.subscribe, METHOD.unsubscribe]) {
        expect(await sent(message(method, '"uri":"a+test://x+y"'))).toEqual([
          `a: ${message(method, '"uri":"test://x+y"')}`,
        ]);
        expect(await sent(message(method, '"uri":"test://a+y"'))).toEqual(['refused: GW_ROUTE_RESOURCE']);
      }
      expect(await sent(message('tasks/get', '"taskId":"a.b+1"'))).toEqual([
        `a.b: ${message('tasks/get', '"taskId":"1"')}`,
      ]);
      const complete = (ref: string): string => message('completion/complete', `"ref":{${ref}}`);
      expect(await sent(complete('"name":"a__p"'))).toEqual([`a: ${complete('"name":"p"')}`]);
      expect(await sent(complete('"uri":"a.b+u","name":"a__p"'))).toEqual([
        `a.b: ${complete('"uri":"u","name":"a__p"')}`,
      ]);
      expect(await sent(message('tools/unheard', '"name":"a__t"'))).toEqual(['refused: GW_MCP_METHOD']);
    });

    test('a modern request mirrors the name that its server knows', async () => {
      const lab = new Lab({ servers: SERVERS, scanner });
      for (const [name, own] of [
        ['a__read', 'read'],
        ['a__é', '=?base64?w6k=?='],
        ['a__"', '"'],
      ] as const) {
        lab.post(
          { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, _meta: MODERN_META } },
          {
            protocolVersion: '2026-07-28',
            mcpMethod: 'tools/call',
            mcpName: name === 'a__é' ? '=?base64?YV9fw6k=?=' : name,
          },
        );
        await lab.sim.advance(10);
        const request = lab.fake('a').sent.at(-1);
        expect(jsonOf(request?.body ?? encode('{}')).params?.name).toBe(name.slice(3));
        expect(request?.headers.join('|').toLowerCase()).toContain(`mcp-name|${own.toLowerCase()}`);
      }
    });
  },
);

test('each routed method has its place, and no other method has one', () => {
  const envelope = new Int32Array(ENVELOPE.length).fill(-1);
  const places = Object.values(METHOD).map((method) => [method, routedPlace(method, envelope)]);
  expect(Object.fromEntries(places.filter(([, place]) => place !== -1))).toEqual({
    'tools/call': ENVELOPE.name,
    'prompts/get': ENVELOPE.name,
    'resources/read': ENVELOPE.uri,
    'resources/subscribe': ENVELOPE.uri,
    'resources/unsubscribe': ENVELOPE.uri,
    'completion/complete': ENVELOPE.refName,
    'tasks/result': ENVELOPE.taskId,
  });
  for (const strange of ['constructor', '__proto__', '', 'tools/call '])
    expect(routedPlace(strange, envelope)).toBe(-1);
});
