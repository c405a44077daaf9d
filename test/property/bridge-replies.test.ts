// Any value as a server's result or error, with the keys that the bridge looks at in any place: the client gets one reply under its own id, and no fault of the
// gateway's own.
// Run by `bun test`. Scripted servers of either era on a simulated clock; fast-check prints the seed of a failure.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import type { FakeReply } from '../../src/upstream/fake.ts';
import { json } from '../fixtures/lab.ts';
import { ModernRig } from '../fixtures/modern-rig.ts';
import { FaceLab } from '../unit/bridge/legacy-to-modern/face-lab.ts';

const KEY = fc.constantFrom(
  ...[
    'name',
    'inputSchema',
    'outputSchema',
    'properties',
    'x-mcp-header',
    'type',
    '$ref',
    '$defs',
    'annotations',
    'readOnlyHint',
    'execution',
    'tools',
    'nextCursor',
  ],
  ...[
    'structuredContent',
    'content',
    'text',
    'isError',
    '_meta',
    'io.modelcontextprotocol/serverInfo',
    'code',
    'data',
    'uri',
    'elicitations',
    'items',
  ],
  ...[
    'resultType',
    'inputRequests',
    'requestState',
    'method',
    'params',
    'mode',
    '__proto__',
    'constructor',
    'toString',
    '\u0000é',
  ],
);
const LEAF = fc.constantFrom<unknown>(
  null,
  true,
  0,
  -0,
  1e308,
  '',
  'object',
  'array',
  'string',
  '#/$defs/a',
  'Region',
  'elicitation/create',
  'roots/list',
  'input_required',
  'complete',
  'form',
  'url',
);
const { value: VALUE } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6 },
    LEAF,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(KEY, tie('value')), { maxLength: 6 }).map((entries) => Object.fromEntries(entries)),
  ),
}));
const METHOD = fc.constantFrom(
  'tools/call',
  'tools/list',
  'prompts/get',
  'resources/read',
  'resources/list',
  'completion/complete',
  'x/y',
);
const CODE = fc.constantFrom(-32_042, -32_002, -32_602, -32_021, -32_020, -32_601, 5);
const PARAMS = { name: 't', uri: 'x:y', arguments: { a: 1 } };
const ABILITIES = [{}, { elicitation: { form: {}, url: {} }, roots: {}, sampling: {} }];

test('the client gets one reply under its own id', async () => {
  await fc.assert(
    fc.asyncProperty(VALUE, METHOD, fc.option(CODE), async (value, method, code) => {
      const reply = (id: unknown): FakeReply => {
        const error = { code, message: 'm', ...(typeof value === 'object' ? value : { data: value }) };
        return json({ jsonrpc: '2.0', id, ...(code === null ? { result: value } : { error }) });
      };
      for (const capabilities of ABILITIES) {
        const rig = new ModernRig({
          script: (message) => (message.method === method ? reply(message.id) : undefined),
        });
        const modern = await rig.ask(method, PARAMS, { id: 'mine', capabilities });
        expect(modern.ends).toBe(1);
        expect(modern.error?.code).not.toBe('GW_BASE_INTERNAL');
        if (modern.error === null) expect(modern.messages.map(({ id }) => id)).toEqual(['mine']);

        const lab = new FaceLab(({ id, method: asked }) =>
          asked === method && id === 'mine' ? reply(id) : undefined,
        );
        const session = await lab.open({ capabilities });
        const legacy = lab.begin({ id: 'mine', method, params: PARAMS }, { session });
        await lab.sim.advance(5_000);
        expect(legacy.faults).toEqual([]);
        expect(legacy.error?.code).not.toBe('GW_BASE_INTERNAL');
        expect(legacy.state).not.toBe('waiting');
        if (legacy.state === 'ended') expect(legacy.answer.id).toBe('mine');
      }
    }),
    { numRuns: 150 },
  );
});
