// The line of an exchange, put together by hand, against what JSON.stringify makes of the same fields.
// Runs src/server/access-line.ts.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { LIMITS } from '../../../src/base/limits.ts';
import { type AccessFields, AccessLines } from '../../../src/server/access-line.ts';

const maybe = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(one, { nil: undefined });
const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('tools/call', '"', '\\', '\n', 'é', '\u2028'),
);
const whole = fc.nat();
const time = fc.oneof(fc.nat(), fc.nat(20_000), fc.nat({ max: 2 ** 40 })).map((us) => us / 1000);

const fields: fc.Arbitrary<AccessFields> = fc.record({
  worker: maybe(whole),
  room: fc.constant('access'),
  id: fc.string({ unit: fc.constantFrom(...'abc/-_019') }),
  verb: maybe(fc.constantFrom('GET', 'DELETE')),
  endpoint: text,
  server: maybe(text),
  method: maybe(text),
  name: maybe(text),
  arguments: maybe(text),
  era: fc.constantFrom('legacy', 'modern'),
  status: whole,
  outcome: fc.constantFrom('ok', 'refused', 'failed', 'abandoned'),
  error: maybe(fc.constantFrom('GW_UPSTREAM_TIMEOUT', 'GW_SERVER_BODY_SIZE')),
  durationMs: time,
  gatewayMs: time,
  queueMs: maybe(time),
  connectMs: maybe(time),
  upstreamMs: maybe(time),
  requestBytes: whole,
  replyBytes: whole,
  sends: maybe(whole),
  isCached: maybe(fc.boolean()),
  replica: maybe(whole),
  trace: maybe(text),
});

test('is what JSON.stringify makes of the same fields, whatever the lines before were', () => {
  fc.assert(
    fc.property(fc.array(fields, { minLength: 1, maxLength: 8 }), fc.nat(3), (some, worker) => {
      const lines = new AccessLines();
      for (const one of [...some, ...some]) {
        const said = { ...one, worker };
        const head = { time: '2026-11-23T16:00:00.123Z', level: 'info', msg: 'exchange' };
        expect(lines.line(head.time, head.level, said)).toBe(`${JSON.stringify({ ...head, ...said })}\n`);
      }
    }),
    { numRuns: 500 },
  );
});

test('forgets places when there are many: methods are the clients’ to choose', () => {
  const lines = new AccessLines();
  const [one] = fc.sample(fields, { numRuns: 1, seed: 1 });
  for (let i = 0; i < 3 * LIMITS.accessLogPlacesMax; i++) {
    const said = { ...(one as AccessFields), method: `m${i}` };
    expect(JSON.parse(lines.line('', 'info', said)).method).toBe(said.method);
  }
});
