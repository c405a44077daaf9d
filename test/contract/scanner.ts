// The suite that every scanner passes: numbers, codes and spans as src/scan/contract.ts words them.
// Called by scanner.test.ts with the portable scanner, the addon, and the addon on each kernel forced.
// Promises: a scanner that passes it serves the gateway; nothing in it depends on which one it is.
import { describe, expect, test } from 'bun:test';
import { encode } from '../../src/base/bytes.ts';
import { GatewayError } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { ENVELOPE, FLAG, KIND, SCAN, type Scanner } from '../../src/scan/contract.ts';
import { CORPUS, NUMBERS, UTF8, VERDICTS } from './scanner-corpus.ts';
import { disputeEnvelope, disputeVerdict } from './scanner-oracle.ts';

/** The bytes of a text, or of numbers. */
export function bytesOf(text: string | readonly number[]): Uint8Array {
  return typeof text === 'string' ? encode(text) : Uint8Array.from(text);
}

/** A scan of all the bytes: code and envelope. */
export function scanAll(scanner: Scanner, bytes: Uint8Array): { code: number; envelope: Int32Array } {
  const envelope = new Int32Array(ENVELOPE.length).fill(77);
  const code = scanner.scan(bytes, 0, bytes.length, envelope);
  return { code, envelope };
}

function span(text: string, envelope: Int32Array, slot: number): string | null {
  const start = envelope[slot] ?? -1;
  return start < 0 ? null : text.slice(start, envelope[slot + 1]);
}

/** Runs the suite on the scanner that `make` gives. */
export function scannerSuite(label: string, make: () => Scanner): void {
  describe(`scan() of ${label}`, () => {
    test('every message of the corpus has the spans, kind and flags that JSON.parse finds', () => {
      const scanner = make();
      for (const text of CORPUS) {
        const bytes = encode(text);
        const { code, envelope } = scanAll(scanner, bytes);
        expect([text, code]).toEqual([text, SCAN.ok]);
        expect([text, disputeEnvelope(bytes, envelope)]).toEqual([text, null]);
      }
    });

    test.each(VERDICTS)('%s', (_name, text, wanted) => {
      const bytes = bytesOf(text);
      const { code, envelope } = scanAll(make(), bytes);
      expect(code).toBe(wanted);
      expect(disputeVerdict(bytes, code)).toBeNull();
      if (code === SCAN.ok) return;
      // A faulty text leaves nothing in the envelope that could be mistaken for a message.
      expect([...envelope.subarray(0, ENVELOPE.jsonrpc)]).toEqual([0, 0, 0, 0]);
      expect(envelope.subarray(ENVELOPE.jsonrpc).every((number) => number === -1)).toBe(true);
    });

    test('numbers', () => {
      const scanner = make();
      for (const [number, isNumber] of NUMBERS) {
        for (const text of [
          number,
          ` ${number}\n`,
          `[${number}]`,
          `[0,${number} ,0]`,
          `{"id":${number}}`,
          `{"x":${number},"id":1}`,
        ]) {
          const blank = number === '';
          const wanted =
            isNumber || text === '[]' ? SCAN.ok : blank && text.trim() === '' ? SCAN.empty : SCAN.syntax;
          expect([text, scanAll(scanner, encode(text)).code]).toEqual([text, wanted]);
        }
      }
    });

    test('UTF-8 in a string, at every place of a 64-byte block', () => {
      const scanner = make();
      for (const [name, sequence, isUtf8] of UTF8) {
        for (let before = 0; before < 66; before++) {
          const bytes = Uint8Array.from([0x22, ...new Array<number>(before).fill(0x61), ...sequence, 0x22]);
          const { code } = scanAll(scanner, bytes);
          expect([name, before, code]).toEqual([name, before, isUtf8 ? SCAN.ok : SCAN.utf8]);
          // Cut behind the sequence, where nothing follows that could be read.
          const cut = scanAll(scanner, bytes.slice(0, -1)).code;
          expect([name, before, cut]).toEqual([name, before, isUtf8 ? SCAN.syntax : SCAN.utf8]);
        }
      }
    });

    test('known keys that come twice: the last one counts and the level says so', () => {
      const scanner = make();
      const text =
        '{"id":1,"method":"a","params":{"name":"x","_meta":{"progressToken":1}},"params":{"uri":"u","uri":"v"},"id":"z"}';
      const { code, envelope } = scanAll(scanner, encode(text));
      expect(code).toBe(SCAN.ok);
      expect(envelope[ENVELOPE.flags]).toBe(FLAG.duplicateTop | FLAG.duplicateParams | FLAG.notVersion2);
      expect(span(text, envelope, ENVELOPE.id)).toBe('"z"');
      expect(span(text, envelope, ENVELOPE.uri)).toBe('"v"');
      expect(span(text, envelope, ENVELOPE.name)).toBeNull();
      expect(span(text, envelope, ENVELOPE.metaProgressToken)).toBeNull();
    });

    test('each level has its own duplicate flag, disguises included', () => {
      const scanner = make();
      const flags = (text: string) => scanAll(scanner, encode(text)).envelope[ENVELOPE.flags];
      expect(flags('{"jsonrpc":"2.0","method":"m","m\\u0065thod":"n"}')).toBe(FLAG.duplicateTop);
      expect(flags('{"jsonrpc":"2.0","params":{"name":1,"n\\u0061me":2}}')).toBe(FLAG.duplicateParams);
      expect(flags('{"jsonrpc":"2.0","params":{"_meta":{"progressToken":1,"progressToken":1}}}')).toBe(
        FLAG.duplicateMeta,
      );
      expect(flags('{"jsonrpc":"2.0","params":{"ref":{"type":1,"type":2}}}')).toBe(FLAG.duplicateRef);
      expect(flags('{"jsonrpc":"2.0","result":{"_meta":1,"_meta":2},"x":1,"x":2}')).toBe(0);
    });

    test('method wins over error, error over result', () => {
      const scanner = make();
      const kind = (text: string) => scanAll(scanner, encode(text)).envelope[ENVELOPE.kind];
      expect(kind('{"id":1,"result":1,"error":2,"method":"m"}')).toBe(KIND.request);
      expect(kind('{"result":1,"method":"m"}')).toBe(KIND.notification);
      expect(kind('{"id":1,"result":1,"error":2}')).toBe(KIND.error);
    });

    test('ranges: any start and end inside a larger array, offsets absolute, nothing around it read', () => {
      const scanner = make();
      const message = encode(
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"é","arguments":{}}}',
      );
      const whole = scanAll(scanner, message).envelope;
      for (let offset = 0; offset < 70; offset++) {
        // What surrounds the range would make it faulty.
        const large = new Uint8Array(offset + message.length + 9).fill(0xff);
        large.set(message, offset);
        const envelope: Int32Array = new Int32Array(ENVELOPE.length);
        expect(scanner.scan(large, offset, offset + message.length, envelope)).toBe(SCAN.ok);
        const moved = whole.map((number, slot) =>
          slot < ENVELOPE.jsonrpc || number < 0 ? number : number + offset,
        );
        expect(envelope).toEqual(moved);
        const view = large.subarray(offset, offset + message.length);
        expect(scanner.scan(view, 0, view.length, envelope)).toBe(SCAN.ok);
        expect(envelope).toEqual(whole);
      }
    });

    test('shared memory and Buffers', () => {
      const scanner = make();
      const message = encode('{"jsonrpc":"2.0","id":1,"method":"ping"}');
      const shared = new Uint8Array(new SharedArrayBuffer(128), 5, message.length);
      shared.set(message);
      expect(scanAll(scanner, shared)).toEqual(scanAll(scanner, message));
      expect(scanAll(scanner, Buffer.from(message))).toEqual(scanAll(scanner, message));
    });

    test('a body at the limit of 4 MiB, and one at the limit of a line', () => {
      const scanner = make();
      for (const size of [LIMITS.bodyBytesMax, LIMITS.messageBytesMax]) {
        const head =
          '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"w","arguments":{"text":"';
        const bytes = new Uint8Array(size).fill(0x61);
        bytes.set(encode(head));
        bytes.set(encode('"}}}'), size - 4);
        const { code, envelope } = scanAll(scanner, bytes);
        expect(code).toBe(SCAN.ok);
        expect(envelope[ENVELOPE.arguments + 1]).toBe(size - 2);
        bytes[size - 100] = 0x80;
        expect(scanAll(scanner, bytes).code).toBe(SCAN.utf8);
        // And small ones again afterwards: room that was let go of must come back.
        for (let i = 0; i < 70; i++) expect(scanAll(scanner, encode('{"id":1}')).code).toBe(SCAN.ok);
      }
      const dense = encode(`[${'[],'.repeat(700_000)}[]]`);
      const { code, envelope } = scanAll(scanner, dense);
      expect([code, envelope[ENVELOPE.batchCount], envelope[ENVELOPE.depth]]).toEqual([SCAN.ok, 700_001, 2]);
    });

    test('a call outside of the bytes, or without room for the answer, is a fault of ours', () => {
      const scanner = make();
      const bytes = encode('{}');
      const room = new Int32Array(ENVELOPE.length);
      for (const [start, end] of [
        [0, 3],
        [2, 1],
        [-1, 1],
      ] as const) {
        expect(() => scanner.scan(bytes, start, end, room)).toThrow(GatewayError);
        expect(() => scanner.head(bytes, start, end, new Int32Array(1000))).toThrow(GatewayError);
        expect(() => scanner.sse(bytes, start, end, false, room)).toThrow(GatewayError);
      }
      expect(() => scanner.scan(bytes, 0, 2, new Int32Array(ENVELOPE.length - 1))).toThrow(GatewayError);
      expect(() => scanner.head(bytes, 0, 2, new Int32Array(10))).toThrow(GatewayError);
      expect(() => scanner.sse(bytes, 0, 2, false, new Int32Array(11))).toThrow(GatewayError);
    });
  });
}
