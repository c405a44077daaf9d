// Heads of requests, mutated at random: nothing throws, nothing is accepted that a lenient reader would frame otherwise, and where the bytes are cut changes nothing.
// Run by `bun test`; no sockets, and fast-check prints the seed of a failure.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { parseRequestHead } from '../../src/runtime/http1-head.ts';
import type { RequestHandler } from '../../src/runtime/runtime.ts';
import { connectionOver, SocketDouble } from '../fixtures/raw-socket.ts';

const RUNS = 4_000;
const CUT_RUNS = 800;

const LINE = fc.constantFrom(
  'Content-Length: 5',
  'content-length:5',
  'Content-Length: 0',
  'Content-Length: 05',
  'Transfer-Encoding: chunked',
  'transfer-encoding:\tChunked ',
  'Transfer-Encoding: gzip',
  'Host: h.test',
  'Connection: close',
  'Connection: keep-alive, upgrade',
  'Upgrade: h2c',
  'Expect: 100-continue',
  'X-A: b',
  'X-Empty:',
  'Accept: application/json, text/event-stream',
);
const FIRST = fc.constantFrom(
  'POST /mcp HTTP/1.1',
  'GET /mcp?x=y HTTP/1.1',
  'GET http://h.test/mcp HTTP/1.1',
  'DELETE /a/../b HTTP/1.0',
  'OPTIONS * HTTP/1.1',
);
const HEAD = fc
  .record({ first: FIRST, lines: fc.array(LINE, { maxLength: 5 }) })
  .map(({ first, lines }) => `${[first, 'Host: h.test', ...lines].join('\r\n')}\r\n\r\n`);

/** What smuggling is made of. */
const PIECE = fc.constantFrom(
  ...['\r', '\n', '\r\n', '\r\n\r\n', '\n\n', ' ', '\t', '\0', '\v', '\f', '\x7f', '\x85', '\xa0', '\xff'],
  ...[':', ',', ';', '#', '?', '\\', '+', '-', '0', '5', 'x', '"', '_', 'Host: i.test\r\n', '0\r\n\r\n'],
  ...['Content-Length: 6\r\n', 'Transfer-Encoding: chunked\r\n', 'Transfer-Encoding: x\r\n', ' chunked\r\n'],
);
const EDIT = fc.record({ at: fc.nat(), drop: fc.nat({ max: 3 }), piece: fc.option(PIECE, { nil: '' }) });
const EDITS = fc.array(EDIT, { maxLength: 4 });

interface Edit {
  readonly at: number;
  readonly drop: number;
  readonly piece: string;
}

function edited(text: string, edits: readonly Edit[]): string {
  let now = text;
  for (const { at, drop, piece } of edits) {
    const place = at % (now.length + 1);
    now = now.slice(0, place) + piece + now.slice(place + drop);
  }
  return now;
}

/** Everything that the most lenient reader could take for framing: any line end, blanks anywhere about names, folded lines. */
function lenientFraming(text: string): { lengths: string[]; codings: string[]; hosts: string[] } {
  const lengths: string[] = [];
  const codings: string[] = [];
  const hosts: string[] = [];
  const lines = text.replace(/(?:\r\n|\r|\n)[ \t]+/g, ' ').split(/\r\n|\r|\n/);
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':');
    if (colon < 0) continue;
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === 'content-length') lengths.push(...value.split(','));
    if (name === 'transfer-encoding') codings.push(...value.toLowerCase().split(','));
    if (name === 'host') hosts.push(value);
  }
  return { lengths, codings, hosts };
}

test('never throws, and accepts no head that another reader would frame or address otherwise', () => {
  let accepted = 0;
  fc.assert(
    fc.property(HEAD, HEAD, EDITS, (head, other, edits) => {
      const text = edited(head, edits);
      const found = parseRequestHead(text, null);
      // The one that it may resemble changes nothing.
      expect(parseRequestHead(text, parseRequestHead(other, null))).toEqual(found);
      if (found === null) return;
      accepted++;
      const { lengths, codings, hosts } = lenientFraming(text);
      expect(lengths.length + codings.length).toBeLessThanOrEqual(1);
      expect(found.length).toBe(lengths.length === 0 ? -1 : Number(lengths[0]));
      expect(found.chunked).toBe(codings.length === 1);
      if (found.chunked) expect(codings[0]).toBe('chunked');
      expect(hosts.length).toBeLessThanOrEqual(1);
      if (!found.old) expect(hosts.length).toBe(1);
      expect(found.text).toBe(text);
      expect(text.indexOf('\r\n\r\n')).toBe(text.length - 4);
      for (const part of [found.method, found.path, ...found.names, ...found.values])
        expect(part).not.toMatch(/[\r\n\0]/);
    }),
    { numRuns: RUNS },
  );
  // Else nothing of the above was looked at.
  expect(accepted).toBeGreaterThan(RUNS / 10);
}, 60_000);

/** What a connection makes of bytes that come in pieces: the requests that it saw, and what the client got. */
async function verdict(bytes: Buffer, cuts: readonly number[]): Promise<unknown> {
  const seen: unknown[] = [];
  const handler: RequestHandler = (inbound) => {
    const headers: string[] = [];
    inbound.eachHeader((name, value) => headers.push(`${name}: ${value}`));
    const request = { method: inbound.method, path: inbound.path, headers, body: '' };
    seen.push(request);
    const whole = inbound.wholeBody;
    const body = whole === null ? inbound.readBody() : Promise.resolve(whole);
    return body.then(
      (read) => {
        request.body = Buffer.from(read).toString('latin1');
        return { status: 200, headers: {}, body: null };
      },
      () => {
        request.body = 'broken';
        return { status: 400, headers: {}, body: null };
      },
    );
  };
  const faults: unknown[] = [];
  const socket = new SocketDouble();
  const made = connectionOver(socket, handler, faults);
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const end = at + (cuts[turn % cuts.length] ?? 1);
    made.data(bytes.subarray(at, end));
    at = end;
  }
  for (let i = 0; i < 12; i++) await new Promise<void>((resolve) => setImmediate(resolve));
  const replies = socket.sent
    // Whether a body was seen to be there already decides if 100 Continue is of use.
    .replaceAll('HTTP/1.1 100 Continue\r\n\r\n', '')
    .match(/HTTP\/1\.1 \d{3}/g);
  return { seen, replies, ended: socket.ended, faults };
}

const TAIL = fc.constantFrom(
  '',
  'hello',
  '5\r\nhello\r\n0\r\n\r\n',
  '0\r\n\r\n',
  '5;x=y\r\nhello\r\n0\r\nT: u\r\n\r\n',
);

test('the verdict is the same wherever the bytes are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(HEAD, TAIL), { minLength: 1, maxLength: 3 }),
      EDITS,
      fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 5 }),
      async (parts, edits, cuts) => {
        const bytes = Buffer.from(edited(parts.flat().join(''), edits), 'latin1');
        const whole = await verdict(bytes, [bytes.length + 1]);
        expect(await verdict(bytes, cuts)).toEqual(whole);
        expect(whole).toMatchObject({ faults: [] });
      },
    ),
    { numRuns: CUT_RUNS },
  );
}, 60_000);
