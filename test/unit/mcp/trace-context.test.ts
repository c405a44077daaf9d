// W3C trace context: what is one, and how it gets into a message.
// Runs src/mcp/trace-context.ts. Promises: every valid message keeps all that it had.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { decode, encode, splice } from '../../../src/base/bytes.ts';
import { metaEdits, metaParent, parentOf, traceparentOf } from '../../../src/mcp/trace-context.ts';
import { ENVELOPE } from '../../../src/scan/contract.ts';
import { portableScanner } from '../../../src/scan/portable.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const scanner = portableScanner();

function scanned(text: string): { body: Uint8Array; envelope: Int32Array } {
  const body = encode(text);
  const envelope = new Int32Array(ENVELOPE.length);
  expect(scanner.scan(body, 0, body.length, envelope)).toBe(0);
  return { body, envelope };
}

describe('a traceparent', () => {
  test('is read with its flag and its state', () => {
    expect(parentOf(`00-${TRACE}-${SPAN}-01`, 'a=b')).toEqual({
      ...{ traceId: TRACE, spanId: SPAN, state: 'a=b', isSampled: true },
    });
    expect(parentOf(`00-${TRACE}-${SPAN}-00`, null)?.isSampled).toBe(false);
    expect(parentOf(`00-${TRACE}-${SPAN}-03`, null)?.isSampled).toBe(true);
  });

  test('of a later version may go on; of this one not', () => {
    expect(parentOf(`cc-${TRACE}-${SPAN}-01-more`, null)?.traceId).toBe(TRACE);
    expect(parentOf(`00-${TRACE}-${SPAN}-01-more`, null)).toBeNull();
  });

  for (const wrong of [
    '',
    `ff-${TRACE}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}x-${SPAN}-01`,
  ])
    test(`is not: '${wrong}'`, () => {
      expect(parentOf(wrong, null)).toBeNull();
    });

  test('a state that is too long is dropped, the parent is not', () => {
    expect(parentOf(`00-${TRACE}-${SPAN}-01`, 'x'.repeat(513))).toMatchObject({ state: '', traceId: TRACE });
  });
});

describe('in a message', () => {
  const value = traceparentOf(TRACE, SPAN);

  test('property: what is written is read again, and nothing else has changed', () => {
    const meta = fc.option(fc.dictionary(fc.string(), fc.jsonValue()), { nil: undefined });
    const withParent = fc.tuple(meta, fc.constantFrom(undefined, 'garbage', `00-${TRACE}-${SPAN}-00`));
    fc.assert(
      fc.property(withParent, fc.jsonValue(), ([own, former], args) => {
        const _meta = former === undefined ? own : { ...own, traceparent: former };
        const params = { name: 'a', arguments: args, ...(_meta !== undefined && { _meta }) };
        const { body, envelope } = scanned(
          JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
        );
        const whole = splice(body, metaEdits(body, envelope, value));
        const again = scanned(decode(whole));
        expect(metaParent(again.body, again.envelope)).toMatchObject({ traceId: TRACE, spanId: SPAN });
        const { traceparent: _, ...rest } = JSON.parse(decode(whole)).params._meta;
        const { traceparent: __, ...before } = JSON.parse(JSON.stringify(_meta ?? {}));
        expect(rest).toEqual(before);
        expect(JSON.parse(decode(whole)).params.arguments).toEqual(JSON.parse(JSON.stringify(args)));
      }),
      { numRuns: 150 },
    );
  });

  test('without params, or with a list of them, there is no place for it', () => {
    for (const params of ['', ',"params":[1]', ',"params":{"_meta":1}']) {
      const { body, envelope } = scanned(`{"jsonrpc":"2.0","id":1,"method":"ping"${params}}`);
      expect(metaEdits(body, envelope, value)).toEqual([]);
    }
  });
});
