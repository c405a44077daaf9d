// The echo upstream: the least that can answer MCP over HTTP/1.1 keep-alive, on a raw socket, in a process of its own.
// Started by peers.ts as `bun bench/macro/echo.ts [PORT]`. Promises: prints {"port":N} when it listens; frames requests by Content-Length (split and
// pipelined ones too), echoes the text of a call in either era, on the path /stream as an event stream, which a GET there leaves open; costs less
// than any proxy.
import { answerTo } from './answer.ts';

const STREAM_PATH = '/stream';
/** A head is looked for in so many bytes. */
const HEAD_BYTES_MAX = 8_192;
const NONE = new Uint8Array(0);

/** The reply to a GET: an event stream that has begun and says nothing more. */
const OPEN_STREAM =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-accel-buffering: no\r\ntransfer-encoding: chunked\r\n\r\n3\r\n:\n\n\r\n';

interface Connection {
  /** Bytes of a request that is not whole yet, and how many it takes to go on. */
  parts: Uint8Array[];
  gathered: number;
  wanted: number;
  /** Reply bytes that the kernel did not take yet. */
  unsent: Uint8Array;
}

interface Head {
  readonly text: string;
  readonly verb: string;
  readonly stream: boolean;
  readonly length: number;
}

/** Heads repeat: the last one is known without a search. */
let known: Head = { text: '\n', verb: '', stream: false, length: 0 };
/** So do whole requests of a load that does not vary its ids, as wrk's. */
let lastBody = '';
let lastReply = '';
let sessions = 0;

/** The head at the start of a text, or null when it is not whole. */
function readHead(text: string): Head | null {
  if (text.startsWith(known.text)) return known;
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = text.slice(0, end + 4);
  const [verb = '', path = ''] = head.split(' ', 2);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head);
  known = { text: head, verb, stream: path.startsWith(STREAM_PATH), length: Number(length?.[1] ?? 0) };
  return known;
}

/** The reply to one whole request. */
function replyTo(head: Head, body: string): string {
  if (head.verb === 'DELETE') return 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';
  if (head.verb === 'GET' && head.stream) return OPEN_STREAM;
  if (head.verb !== 'POST')
    return 'HTTP/1.1 405 Method Not Allowed\r\nallow: POST, DELETE\r\ncontent-length: 0\r\n\r\n';
  if (!head.stream && body === lastBody) return lastReply;
  const answer = answerTo(body);
  if (answer === null) return 'HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n';
  if (head.stream) {
    const event = `event: message\ndata: ${answer}\n\n`;
    return `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n${event.length.toString(16)}\r\n${event}\r\n0\r\n\r\n`;
  }
  const session = body.includes('"method":"initialize"') ? `mcp-session-id: echo-${++sessions}\r\n` : '';
  const reply = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${session}Content-Length: ${answer.length}\r\n\r\n${answer}`;
  if (session === '') {
    lastBody = body;
    lastReply = reply;
  }
  return reply;
}

/** Replies to the whole requests at the start of the bytes; keeps what follows them. */
function serve(state: Connection, bytes: Buffer): string {
  let at = 0;
  let replies = '';
  state.wanted = 0;
  while (at < bytes.length) {
    const head = readHead(bytes.toString('latin1', at, Math.min(bytes.length, at + HEAD_BYTES_MAX)));
    if (head === null) break;
    const end = at + head.text.length + head.length;
    if (end > bytes.length) {
      state.wanted = end - at;
      break;
    }
    // Latin-1 both ways keeps every byte as it is
    replies += replyTo(head, bytes.toString('latin1', at + head.text.length, end));
    at = end;
  }
  state.parts = at === bytes.length ? [] : [bytes.subarray(at)];
  state.gathered = bytes.length - at;
  return replies;
}

const listener = Bun.listen<Connection>({
  hostname: '127.0.0.1',
  port: Number(process.argv[2] ?? 0),
  socket: {
    open(socket) {
      socket.data = { parts: [], gathered: 0, wanted: 0, unsent: NONE };
      socket.setNoDelay(true);
    },
    data(socket, chunk) {
      const state = socket.data;
      state.gathered += chunk.length;
      if (state.gathered < state.wanted) {
        state.parts.push(chunk);
        return;
      }
      const replies = serve(state, state.parts.length === 0 ? chunk : Buffer.concat([...state.parts, chunk]));
      if (replies === '') return;
      const bytes = Buffer.from(replies, 'latin1');
      if (state.unsent.length > 0) {
        state.unsent = Buffer.concat([state.unsent, bytes]);
        return;
      }
      const sent = socket.write(bytes);
      if (sent < bytes.length) state.unsent = bytes.subarray(Math.max(sent, 0));
    },
    drain(socket) {
      const state = socket.data;
      const sent = socket.write(state.unsent);
      state.unsent = state.unsent.subarray(Math.max(sent, 0));
    },
  },
});

console.log(JSON.stringify({ port: listener.port }));
