// Messages on their way to and from a child: what a client sent made fit for a line, what a child printed told apart.
// Called by stdio-calls.ts, stdio-shared.ts, stdio-session.ts. Promises: nothing reaches a child but one JSON-RPC
// message a line; a line of the child that is no message is logged and skipped, never fatal.
import { concat, decode, type Edit, encode, equalsAscii, orderEdits } from '../base/bytes.ts';
import { GatewayError, RPC, toGatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { eachElement, readString, skipBlank } from '../mcp/json.ts';
import type { Log } from '../observe/log.ts';
import { ENVELOPE, FLAG, KIND, SCAN, type Scanner } from '../scan/contract.ts';
import { editsKeepLine, flatten } from './lines.ts';

/** A message with the spans that the scanner found and the replacements that the proxy wants. */
export interface Message {
  readonly body: Uint8Array;
  readonly envelope: Int32Array;
  readonly edits: readonly Edit[];
  /** Headers of the request that brought it, where its server gets to see any. */
  readonly headers?: readonly string[];
}

/** A number of an envelope: kind, flags, or one end of a span. */
export function place(envelope: Int32Array, at: number): number {
  return envelope[at] ?? -1;
}

/** The bytes of a span as a view, null when it is absent. */
export function spanOf(bytes: Uint8Array, envelope: Int32Array, at: number): Uint8Array | null {
  const start = place(envelope, at);
  return start < 0 ? null : bytes.subarray(start, place(envelope, at + 1));
}

/** The replacement of a whole span; the span must be there. */
export function editOf(envelope: Int32Array, at: number, insert: Uint8Array): Edit {
  return { start: place(envelope, at), end: place(envelope, at + 1), insert };
}

/**
 * The proxy's replacements and the transport's own, in order; a fault of ours when two of them overlap. Where both replace the very same span
 * the pipe's own edit wins: an id must be the pipe's, whatever the proxy would have it be.
 */
export function joinEdits(edits: readonly Edit[], own: readonly Edit[]): readonly Edit[] | GatewayError {
  const asked = edits.filter(
    (edit) => !own.some((mine) => mine.start === edit.start && mine.end === edit.end),
  );
  try {
    return orderEdits([...asked, ...own]);
  } catch (thrown) {
    return toGatewayError(thrown);
  }
}

/** True when the string at the span is this ASCII text, escapes undone. */
export function spanIs(bytes: Uint8Array, envelope: Int32Array, at: number, text: string): boolean {
  const start = place(envelope, at);
  const end = place(envelope, at + 1);
  if (start < 0) return false;
  return (
    equalsAscii(bytes, start + 1, end - 1, text) ||
    (end - start - 2 > text.length && readString(bytes, start, end) === text)
  );
}

/** What the message is: one of KIND. */
export function kindOf(message: Message): number {
  return place(message.envelope, ENVELOPE.kind);
}

/** True when the message's method is this one. */
export function isMethod(message: Message, method: string): boolean {
  return spanIs(message.body, message.envelope, ENVELOPE.method, method);
}

/** The method's text, or '' when there is none. */
export function methodOf(bytes: Uint8Array, envelope: Int32Array): string {
  return readString(bytes, place(envelope, ENVELOPE.method), place(envelope, ENVELOPE.method + 1)) ?? '';
}

const DUPLICATE = FLAG.duplicateTop | FLAG.duplicateParams | FLAG.duplicateMeta;

/** True when a key that the gateway would replace appears twice: a peer might read the other one. */
export function isAmbiguous(envelope: Int32Array): boolean {
  return (place(envelope, ENVELOPE.flags) & DUPLICATE) !== 0;
}

/** The message made fit for one line (spans stay true), or why it cannot be. */
export function forLine(message: Message): Message | GatewayError {
  if (isAmbiguous(message.envelope)) return new GatewayError('GW_SCAN_DUPLICATE');
  const body = flatten(message.body);
  if (body === null || !editsKeepLine(message.edits)) return new GatewayError('GW_MCP_LINE');
  return body === message.body ? message : { ...message, body };
}

/** HTTP status of a modern error that is the whole reply (MCP 2026-07-28 §transports, §errors). */
export function modernStatus(line: Uint8Array, envelope: Int32Array): number {
  const raw = spanOf(line, envelope, ENVELOPE.errorCode);
  if (raw === null) return 200;
  switch (Number(decode(raw))) {
    case RPC.methodNotFound:
      return 404;
    case RPC.parse:
    case RPC.invalidRequest:
    case RPC.headerMismatch:
    case RPC.missingCapability:
    case RPC.unsupportedVersion:
      return 400;
    default:
      return 200;
  }
}

/** All messages of a POST made fit for lines, or why one of them cannot be. */
export function fitAll(messages: readonly Message[]): readonly Message[] | GatewayError {
  const fits: Message[] = [];
  for (const message of messages) {
    const fit = forLine(message);
    if (fit instanceof GatewayError) return fit;
    fits.push(fit);
  }
  return fits;
}

/** A response with this raw id; `outcome` is the `"result":…` or `"error":…` member as JSON text. */
export function response(id: Uint8Array, outcome: string): Uint8Array {
  return concat([encode('{"jsonrpc":"2.0","id":'), id, encode(`,${outcome}}`)]);
}

/** The messages of a batch, each scanned, or why it is refused. `initialize` must stand alone (2025-03-26 §lifecycle). */
export function splitBatch(scanner: Scanner, body: Uint8Array): readonly Message[] | GatewayError {
  const messages: Message[] = [];
  let refused = false;
  eachElement(body, skipBlank(body, 0), (start, end) => {
    if (messages.length >= LIMITS.batchMessagesMax) refused = true;
    if (refused) return;
    const element = body.subarray(start, end);
    const envelope = new Int32Array(ENVELOPE.length);
    const code = scanner.scan(element, 0, element.length, envelope);
    const kind = place(envelope, ENVELOPE.kind);
    const initialize = spanIs(element, envelope, ENVELOPE.method, 'initialize');
    refused = code !== SCAN.ok || kind === KIND.none || kind === KIND.batch || initialize;
    messages.push({ body: element, envelope, edits: [] });
  });
  if (!refused && messages.length > 0) return messages;
  const rule = `send 1 to ${LIMITS.batchMessagesMax} JSON-RPC messages, initialize not among them`;
  return new GatewayError('GW_MCP_BATCH', rule);
}

/** Who hears what a child says. The envelope is valid only during the call. */
export interface ChildVoice {
  /** A result or an error. */
  onAnswer(line: Uint8Array, envelope: Int32Array): void;
  onRequest(line: Uint8Array, envelope: Int32Array): void;
  onNotification(line: Uint8Array, envelope: Int32Array): void;
}

const LOGGED_BYTES_MAX = 200;

/** Tells a child's lines apart; one per child, since all work on one envelope. */
export class MessageReader {
  readonly #scanner: Scanner;
  readonly #log: Log;
  readonly #voice: ChildVoice;
  readonly #envelope = new Int32Array(ENVELOPE.length);

  constructor(scanner: Scanner, log: Log, voice: ChildVoice) {
    this.#scanner = scanner;
    this.#log = log;
    this.#voice = voice;
  }

  /** Takes one line; a batch is taken apart. */
  read(line: Uint8Array): void {
    const envelope = this.#envelope;
    const code = this.#scanner.scan(line, 0, line.length, envelope);
    if (code === SCAN.empty) return;
    if (code !== SCAN.ok) {
      this.#skip(line, 'not JSON');
      return;
    }
    switch (place(envelope, ENVELOPE.kind)) {
      case KIND.result:
      case KIND.error:
        this.#voice.onAnswer(line, envelope);
        return;
      case KIND.request:
        this.#voice.onRequest(line, envelope);
        return;
      case KIND.notification:
        this.#voice.onNotification(line, envelope);
        return;
      case KIND.batch:
        this.#batch(line);
        return;
      default:
        this.#skip(line, 'not a JSON-RPC message');
        return;
    }
  }

  #batch(line: Uint8Array): void {
    eachElement(line, skipBlank(line, 0), (start, end) => {
      const element = line.subarray(start, end);
      if (element[0] === 0x7b) this.read(element);
      else this.#skip(element, 'not a JSON-RPC message');
    });
  }

  #skip(line: Uint8Array, reason: string): void {
    if (!this.#log.enabled('debug')) return;
    this.#log.debug('skipped a line of the MCP server', {
      reason,
      line: decode(line.subarray(0, LOGGED_BYTES_MAX)),
    });
  }
}
