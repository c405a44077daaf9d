// Between the runtime's Inbound and Reply and the web's Request and Response, which the admin API's library speaks.
// Called by listener.ts. Promises: a streamed response is read no faster than its client takes it, and its source is cancelled when the client leaves, as is the
// request's signal; other bodies go out whole, with their length.
import { GatewayError, toGatewayError } from '../../base/errors.ts';
import type { Inbound, Reply, ReplySink } from '../../runtime/runtime.ts';

/** Answers a request of the peer with this address. */
export type Answer = (request: Request, peer: string) => Response | Promise<Response>;

/** Marks a response that is to be sent as it comes; means the same to proxies in front that know this header. */
export const STREAMED: Readonly<Record<string, string>> = Object.freeze({ 'x-accel-buffering': 'no' });

/** What came with a request: its body (null: none), or why it could not be read. */
export type Body = Promise<Uint8Array | GatewayError | null>;

/** Reads the body; to be called in the handler's own turn. */
export function bodyOf(inbound: Inbound): Body {
  const { method } = inbound;
  if (method === 'GET' || method === 'HEAD') return Promise.resolve(null);
  return (inbound.wholeBody === null ? inbound.readBody() : Promise.resolve(inbound.wholeBody)).catch(
    toGatewayError,
  );
}

/** Has a request answered. Rejects with what the body failed with, and with nothing else that `answer` does not. */
export async function answerOnWeb(inbound: Inbound, body: Body, answer: Answer): Promise<Reply> {
  const left = new AbortController();
  // One callback: whoever streams adds what it has to cancel.
  inbound.onAbort(() => left.abort());
  const bytes = await body;
  if (bytes instanceof GatewayError) throw bytes;
  const response = await answer(requestOf(inbound, bytes, left.signal), inbound.peer);
  return replyOf(response, left.signal);
}

function requestOf(inbound: Inbound, body: Uint8Array | null, signal: AbortSignal): Request {
  const headers = new Headers();
  inbound.eachHeader((name, value) => headers.append(name, value));
  const query = inbound.query === '' ? '' : `?${inbound.query}`;
  // What the client calls this host was checked, or will be, by its header; the URL is for paths and queries alone.
  const url = `http://admin${inbound.path.startsWith('/') ? inbound.path : '/'}${query}`;
  return new Request(url, {
    method: inbound.method,
    headers,
    signal,
    // The runtime hands over bytes of its own; the DOM's type excludes shared memory.
    body: body === null || body.length === 0 ? null : (body as Uint8Array<ArrayBuffer>),
  });
}

async function replyOf(response: Response, left: AbortSignal): Promise<Reply> {
  const { status, body } = response;
  const headers: Record<string, string> = {};
  response.headers.forEach((value, name) => {
    headers[name] = value;
  });
  if (body === null) return { status, headers, body: null };
  if (headers['x-accel-buffering'] !== 'no')
    return { status, headers, body: new Uint8Array(await response.arrayBuffer()) };
  return { status, headers, body: { open: (sink) => void pump(body, sink, left) } };
}

/** Moves a body over; ends with it, or with its client. */
async function pump(body: ReadableStream<Uint8Array>, sink: ReplySink, left: AbortSignal): Promise<void> {
  const reader = body.getReader();
  let onRoom: (() => void) | null = null;
  const goOn = (): void => {
    onRoom?.();
    onRoom = null;
  };
  sink.onDrain(goOn);
  const cancel = (): void => {
    void reader.cancel().catch(() => undefined);
    goOn();
  };
  left.addEventListener('abort', cancel, { once: true });
  if (left.aborted) cancel();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!sink.write(value) && !left.aborted)
        await new Promise<void>((resolve) => {
          onRoom = resolve;
        });
    }
    sink.end();
  } catch {
    sink.fail();
  }
}
