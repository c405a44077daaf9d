// Heads and whole bodies of replies on uWebSockets.js.
// Called by node-uws-listener.ts and node-uws-stream.ts. Promises: what is written holds no line but those meant, whatever the values are; a body that is larger than the
// kernel takes is kept here, and its request under way, until the client has it.
import { EMPTY } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { reasonOf } from './http1-reply.ts';
import type { UwsResponse } from './node-uws.ts';
import type { UwsInbound } from './node-uws-inbound.ts';
import type { HeaderRecord, Reply } from './runtime.ts';

/** The kernel takes as much of a client that reads. */
const AT_ONCE_BYTES_MAX = 64 * 1024;

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const ASCII_VALUE = /^[\t\x20-\x7e]*$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

const statuses = new Map<number, string>();

function statusText(status: number): string {
  let text = statuses.get(status);
  if (text === undefined) {
    text = `${status} ${reasonOf(status)}`;
    statuses.set(status, text);
  }
  return text;
}

/** Whether all of it can be sent as it is: to be asked before anything is written. */
export function canSend(headers: HeaderRecord): boolean {
  for (const name in headers) if (!NAME.test(name) || !VALUE.test(headers[name] ?? '')) return false;
  return true;
}

/** Writes status and headers, within a cork. What the library writes by itself is left out: length, date, and whether the connection ends. */
export function writeHead(response: UwsResponse, { status, headers }: Reply): void {
  response.writeStatus(statusText(status));
  for (const name in headers) {
    if (name === 'connection' || name === 'content-length' || name === 'date') continue;
    const value = headers[name] ?? '';
    // It writes text as UTF-8, and headers have one byte a character.
    response.writeHeader(name, ASCII_VALUE.test(value) ? value : Buffer.from(value, 'latin1'));
  }
}

/** Sends a reply whose body is there. */
export function sendWhole(inbound: UwsInbound, reply: Reply, body: Uint8Array): void {
  const { response } = inbound;
  if (body.length > AT_ONCE_BYTES_MAX && inbound.method !== 'HEAD') return sendLarge(inbound, reply, body);
  inbound.finish();
  response.cork(() => {
    writeHead(response, reply);
    const { mustClose } = inbound;
    if (reply.status === 204 || reply.status === 304) response.endWithoutBody(undefined, mustClose);
    else if (inbound.method === 'HEAD') response.endWithoutBody(body.length, mustClose);
    else response.end(body.length === 0 ? EMPTY : body, mustClose);
  });
}

/** The request is over once the client has taken the last byte. */
function sendLarge(inbound: UwsInbound, reply: Reply, body: Uint8Array): void {
  const { response } = inbound;
  const send = (from: number): boolean => {
    let taken = false;
    response.cork(() => {
      if (from === 0) writeHead(response, reply);
      const [all, over] = response.tryEnd(body.subarray(from), body.length);
      taken = all;
      if (over) inbound.finish();
    });
    return taken;
  };
  response.onWritable(send);
  send(0);
}

/** The fault of a handler whose reply cannot be sent. */
export function unsendable(): GatewayError {
  return new GatewayError('GW_BASE_INTERNAL', 'a header cannot be sent');
}
