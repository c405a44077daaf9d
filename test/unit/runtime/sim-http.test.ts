// The sim's HTTP framing: every cut gives the same messages.
// Called by bun test.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { concat, decode, EMPTY, encode } from '../../../src/base/bytes.ts';
import { FramingReader, writeChunk, writeHead } from '../../../src/runtime/sim-http.ts';

/** Reads pieces and tells what came out, bodies joined. */
function read(
  pieces: readonly Uint8Array[],
  bodyToClose = true,
): { readonly messages: string[]; readonly clean: boolean } {
  const messages: string[] = [];
  let body: Uint8Array[] = [];
  let head = '';
  const reader = new FramingReader(
    {
      onHead(line, headers) {
        head = `${line} ${JSON.stringify(headers)}`;
        body = [];
      },
      onBody: (bytes) => void body.push(bytes),
      onEnd: () => void messages.push(`${head} ${decode(concat([EMPTY, ...body]))}`),
    },
    bodyToClose,
  );
  for (const piece of pieces) reader.push(piece);
  return { clean: reader.close(), messages };
}

const chunked = concat([
  writeHead('HTTP/1.1 200 OK', { 'transfer-encoding': 'chunked', 'X-A': 'b' }),
  writeChunk(encode('hello ')),
  writeChunk(encode('wörld')),
  writeChunk(EMPTY),
]);
const sized = concat([writeHead('HTTP/1.1 200 OK', { 'content-length': '3' }), encode('abc')]);
const empty = writeHead('HTTP/1.1 204 No Content', {});
const all = concat([chunked, sized, empty, sized]);

describe('framing', () => {
  test('every cut gives the same messages', () => {
    const whole = read([all]);
    expect(whole.messages).toEqual([
      'HTTP/1.1 200 OK {"transfer-encoding":"chunked","x-a":"b"} hello wörld',
      'HTTP/1.1 200 OK {"content-length":"3"} abc',
      'HTTP/1.1 204 No Content {} ',
      'HTTP/1.1 200 OK {"content-length":"3"} abc',
    ]);
    expect(whole.clean).toBe(true);
    for (let cut = 0; cut <= all.length; cut++) {
      expect(read([all.subarray(0, cut), all.subarray(cut)])).toEqual(whole);
    }
    expect(read([...all].map((byte) => Uint8Array.of(byte)))).toEqual(whole);
  });

  test('random bodies in random chunks and cuts', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 })),
        fc.array(fc.nat(400)),
        (chunks, cuts) => {
          const bytes = concat([
            writeHead('HTTP/1.1 200 OK', { 'transfer-encoding': 'chunked' }),
            ...chunks.map((chunk) => writeChunk(chunk)),
            writeChunk(EMPTY),
          ]);
          const places = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
          const pieces = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
          expect(read(pieces)).toEqual(read([bytes]));
          expect(read([bytes]).messages.length).toBe(1);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('without a length a reply runs to the close, a request has no body', () => {
    const bytes = concat([writeHead('HTTP/1.1 200 OK', {}), encode('to the end')]);
    expect(read([bytes])).toEqual({ messages: ['HTTP/1.1 200 OK {} to the end'], clean: true });
    expect(read([writeHead('GET / HTTP/1.1', {})], false).messages).toEqual(['GET / HTTP/1.1 {} ']);
  });

  test('a message that breaks off is not clean', () => {
    for (let cut = 1; cut < sized.length; cut++) expect(read([sized.subarray(0, cut)]).clean).toBe(false);
  });
});
