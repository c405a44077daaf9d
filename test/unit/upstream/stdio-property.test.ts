// Many callers on one child under every order of events and every cut of the bytes; messages pass byte for byte.
// Run by bun test. Promises: fast-check prints the seed of a failure; runs are bounded.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { encode } from '../../../src/base/bytes.ts';
import { modern, StdioWorld, type Wire } from '../../fixtures/stdio-world.ts';

/** What one caller does: its id, its token, how many progress notes come before its answer, whether it leaves. */
const caller = fc.record({
  id: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom('0', '1', 'a', 'ü', '"')),
  token: fc.option(fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom('0', 't', '\\')), {
    nil: undefined,
  }),
  notes: fc.nat(3),
  leaves: fc.constantFrom(false, false, false, true),
});

describe('64 callers on one child', () => {
  test('each hears exactly its own, whatever the order and the cuts', () => {
    fc.assert(
      fc.property(
        fc.array(caller, { minLength: 1, maxLength: 64 }),
        fc.array(fc.nat(), { minLength: 300, maxLength: 300 }),
        fc.constantFrom('\n', '\r\n', '\n\n'),
        (callers, picks, lineEnd) => {
          const world = new StdioWorld();
          const sent = callers.map(({ id, token }, n) => {
            const meta = token === undefined ? {} : { progressToken: token };
            return world.send(modern(id, 'tools/call', { name: 'x', arguments: { n } }, meta));
          });
          const pipe = world.child.got;
          expect(new Set(pipe.map(({ id }) => id)).size).toBe(callers.length);
          // Each caller's messages in order; the lanes are merged as the picks say.
          const lanes = callers.map(({ token, notes }, n) => {
            const own: Wire[] = [];
            const progressToken = pipe[n]?.params._meta.progressToken;
            for (let progress = 0; token !== undefined && progress < notes; progress++) {
              own.push({
                jsonrpc: '2.0',
                method: 'notifications/progress',
                params: { progressToken, progress },
              });
            }
            own.push({ jsonrpc: '2.0', result: { n: pipe[n]?.params.arguments.n }, id: pipe[n]?.id ?? -1 });
            return own;
          });
          callers.forEach(({ leaves }, n) => {
            if (leaves) sent[n]?.call.abort();
          });
          let text = '';
          let at = 0;
          while (lanes.some((lane) => lane.length > 0)) {
            const open = lanes.filter((lane) => lane.length > 0);
            const lane = open[(picks[at++ % picks.length] ?? 0) % open.length];
            text += `${JSON.stringify(lane?.shift())}${lineEnd}`;
          }
          const bytes = encode(text);
          for (let from = 0; from < bytes.length; ) {
            const size = 1 + ((picks[at++ % picks.length] ?? 0) % 200);
            world.child.print(bytes.slice(from, from + size));
            from += size;
          }
          callers.forEach(({ id, token, notes, leaves }, n) => {
            const caught = sent[n]?.caught;
            if (leaves) {
              expect(caught?.head ?? null).toBeNull();
              expect(caught?.over).toBe(false);
              return;
            }
            expect(caught?.ended).toBe(1);
            expect(caught?.answer).toEqual<unknown>({ jsonrpc: '2.0', result: { n }, id });
            if (token === undefined || notes === 0) return;
            const events = caught?.events.slice(0, -1).map((line) => JSON.parse(line).params);
            expect(events).toEqual(
              Array.from({ length: notes }, (_, progress) => ({ progressToken: token, progress })),
            );
          });
          expect(world.upstream.stats().busy).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('bytes', () => {
  /** JSON text of a value with odd but legal spelling. */
  const spelled = fc
    .tuple(fc.jsonValue(), fc.constantFrom(undefined, 1, '\t'))
    .map(([value, indent]) => JSON.stringify(value, null, indent) ?? 'null');

  test('only ids and tokens change on the way to the child, white space newlines aside', () => {
    fc.assert(
      fc.property(
        spelled,
        fc.constantFrom('1', '"1"', '"\\u0031"', '0'),
        fc.boolean(),
        (value, id, first) => {
          const world = new StdioWorld();
          const rest = `"method" :"tools/call","params":{"a":${value},"_meta":{"progressToken": "t" ,"z":${value}}}`;
          const body = (own: string, token: string): string => {
            const tokened = rest.replace('"progressToken": "t"', `"progressToken": ${token}`);
            return first
              ? `{"id": ${own} ,${tokened},"jsonrpc":"2.0"}`
              : `{"jsonrpc":"2.0",${tokened},"id": ${own} }`;
          };
          const { caught } = world.send(body(id, '"t"'));
          const gateway = String(world.child.last.id);
          expect(world.child.lines).toEqual([body(gateway, gateway).replace(/[\r\n]/g, ' ')]);
          const reply = (own: string): string =>
            `{"result":{"x":${value.replace(/\n/g, ' ')}} , "id" : ${own},"jsonrpc":"2.0"}`;
          world.child.say(reply(gateway));
          expect(caught.text).toBe(reply(id));
        },
      ),
      { numRuns: 150 },
    );
  });

  test('a reply is the same at every cut of its bytes', () => {
    const whole = new StdioWorld();
    whole.send(modern('ü', 'tools/call', {}, { progressToken: 't' }));
    const token = whole.child.last.id ?? -1;
    const bytes = encode(
      `junk\r\n{"method":"notifications/progress","params":{"progressToken":${token},"message":"€"}}\n\n{"id":${token},"result":{"t":"😀"}}\r\n`,
    );
    for (let cut = 0; cut <= bytes.length; cut++) {
      const world = new StdioWorld();
      const { caught } = world.send(modern('ü', 'tools/call', {}, { progressToken: 't' }));
      expect(world.child.last.id).toBe(token);
      world.child.print(bytes.slice(0, cut));
      world.child.print(bytes.slice(cut));
      expect(caught.events).toEqual([
        '{"method":"notifications/progress","params":{"progressToken":"t","message":"€"}}',
        '{"id":"ü","result":{"t":"😀"}}',
      ]);
      expect(caught.ended).toBe(1);
    }
  });
});
