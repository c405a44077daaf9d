// What sessions keep: copies, equal ones shared within bounds, and drafts that say what the scanner says.
// Runs bridge/kept.ts.
import { expect, test } from 'bun:test';
import { encode } from '../../../src/base/bytes.ts';
import { KeptMessages } from '../../../src/bridge/kept.ts';
import { ENVELOPE, KIND } from '../../../src/scan/contract.ts';
import { chooseScanner } from '../../../src/scan/scan.ts';

const { scanner } = chooseScanner('portable');
const INITIALIZED = '{"jsonrpc":"2.0","method":"notifications/initialized"}';

test('equal messages of two sessions are kept once, others are not mixed up', () => {
  const kept = new KeptMessages(scanner);
  const first = kept.keep(encode(INITIALIZED));
  const longer = kept.keep(encode(`${INITIALIZED} `));
  expect(kept.keep(encode(INITIALIZED))).toBe(first);
  expect(longer).toEqual(encode(`${INITIALIZED} `));
  expect(kept.keep(encode(INITIALIZED.replace('2.0', '2.1')))).toEqual(
    encode(INITIALIZED.replace('2.0', '2.1')),
  );
});

test('what is kept is a copy: neither its sender nor a larger buffer lives on in it', () => {
  const kept = new KeptMessages(scanner);
  const buffer = encode(`....${INITIALIZED}....`);
  const own = kept.keep(buffer.subarray(4, 4 + INITIALIZED.length));
  buffer.fill(0);
  expect(own).toEqual(encode(INITIALIZED));
  expect(own.buffer.byteLength).toBe(INITIALIZED.length);
});

test('long messages are copied and not shared; of the short ones only the last few are', () => {
  const kept = new KeptMessages(scanner);
  const long = encode(JSON.stringify({ text: 'x'.repeat(5_000) }));
  expect(kept.keep(long)).toEqual(long);
  expect(kept.keep(long)).not.toBe(kept.keep(long));
  const first = kept.keep(encode('{"n":0}'));
  for (let n = 1; n <= 16; n++) kept.keep(encode(`{"n":${n}}`));
  expect(kept.keep(encode('{"n":0}'))).not.toBe(first);
});

test('a draft is scanned as the message was', () => {
  const kept = new KeptMessages(scanner);
  const { body, envelope, edits } = kept.draft(kept.keep(encode(INITIALIZED)));
  const expected = new Int32Array(ENVELOPE.length);
  scanner.scan(body, 0, body.length, expected);
  expect([envelope, edits]).toEqual([expected, []]);
  expect(envelope?.[ENVELOPE.kind]).toBe(KIND.notification);
});
