// One HTTP/2 request as bytes, written by hand: greeting of a connection, one call on stream 1.
// Called by other-servers.ts, which opens a thousand connections and must not hold a client library's memory against a server. Promises: pure;
// header fields are literals without Huffman coding, which every server reads (RFC 7541 §6.2.2).

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const FRAME = { data: 0, headers: 1, settings: 4 } as const;
const END_STREAM = 0x1;
const END_HEADERS = 0x4;
/** Lengths of header texts below this fit into one byte. */
const LENGTH_MAX = 126;

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function field(name: string, value: string): Buffer {
  if (Math.max(name.length, value.length) > LENGTH_MAX) throw new Error(`${name} is too long for one byte`);
  return Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
}

/** Greeting and one POST. */
export function http2Request(
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Uint8Array {
  const fields: Readonly<Record<string, string>> = {
    ':method': 'POST',
    ':scheme': 'http',
    ':path': url.pathname,
    ':authority': url.host,
    ...headers,
    'content-length': `${body.length}`,
  };
  const block = Buffer.concat(Object.entries(fields).map(([name, value]) => field(name, value)));
  return Buffer.concat([
    Buffer.from(PREFACE),
    frame(FRAME.settings, 0, 0, new Uint8Array(0)),
    frame(FRAME.headers, END_HEADERS, 1, block),
    frame(FRAME.data, END_STREAM, 1, body),
  ]);
}
