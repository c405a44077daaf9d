// Tasks of a server with several replicas: each lives at one of them, so its id bears that one's number outwards and leads back there.
// Called by balance.ts, for modern requests of clients that know tasks. Promises: everything but those ids passes byte for byte; an id without a number, as
// one from before there were replicas, passes as it is. Source: the tasks extension of 2026-07-28, routing headers.
import { concat, type Edit, EMPTY, encode, orderEdits, splice } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { readMessage, span, text } from '../mcp/envelope.ts';
import { encodeMirrored } from '../mcp/headers.ts';
import { readString, type Span } from '../mcp/json.ts';
import { METHOD } from '../mcp/protocol.ts';
import { replaceString } from '../mcp/rewrite.ts';
import { EventReader, messageEvent, type StreamEvent } from '../mcp/sse.ts';
import { isTaskMethod, knowsTasks, listenedTasks, namedTasks } from '../mcp/task-ids.ts';
import { ENVELOPE, type Scanner } from '../scan/contract.ts';
import { ContainedSink } from './contained-sink.ts';
import type { ReplyHead, UpstreamCall, UpstreamRequest, UpstreamSink } from './upstream.ts';

/** Between a replica's number and its own id of a task. */
const MARK = '.';

/** Where a request goes because of its tasks, and what it says there. */
export interface TaskRequest {
  readonly method: string;
  /** The replica that has the task; null when any will do. */
  readonly home: number | null;
  readonly request: UpstreamRequest;
}

/** A request of a client that knows tasks, read for `replicas` replicas; null for any other. */
export function taskRequest(request: UpstreamRequest, replicas: number): TaskRequest | null {
  const { era, body, envelope } = request;
  if (era !== 'modern' || envelope === null || !knowsTasks(body, envelope)) return null;
  const method = text(body, envelope, ENVELOPE.method) ?? '';
  if (isTaskMethod(method)) return { method, ...ofTask(request, envelope, replicas) };
  if (method === METHOD.listen) return { method, ...ofListen(request, envelope, replicas) };
  return { method, home: null, request };
}

type Sent = Omit<TaskRequest, 'method'>;

function ofTask(request: UpstreamRequest, envelope: Int32Array, replicas: number): Sent {
  const at = span(envelope, ENVELOPE.taskId);
  const value = at === null ? null : edited(request, at);
  const found = value === null ? null : split(readString(value, 0, value.length), replicas);
  if (at === null || found === null) return { home: null, request };
  const headers = request.headers.map((one, i, all) =>
    i % 2 === 1 && all[i - 1] === 'mcp-name' ? encodeMirrored(found.own) : one,
  );
  const edits = replaced(request, replaceString(at, found.own));
  return { home: found.home, request: { ...request, headers, edits } };
}

/** One listen hears one replica: the one that has the first of its tasks. Those of others are left out, and the acknowledgement will not name them. */
function ofListen(request: UpstreamRequest, envelope: Int32Array, replicas: number): Sent {
  const at = span(envelope, ENVELOPE.notifications);
  const filter = at === null ? null : edited(request, at);
  const tasks = filter === null ? null : listenedTasks(filter, 0);
  if (at === null || filter === null || tasks === null) return { home: null, request };
  const all = tasks.ids.map(({ start, end }) => readString(filter, start, end) ?? '');
  const found = all.map((id) => split(id, replicas));
  const home = found.find((one) => one !== null)?.home ?? null;
  if (home === null) return { home, request };
  const own = found.flatMap((one) => (one?.home === home ? [one.own] : []));
  const insert = splice(filter, [{ ...tasks.list, insert: encode(JSON.stringify(own)) }]);
  return { home, request: { ...request, edits: replaced(request, { ...at, insert }) } };
}

function isWithin(edit: Edit, { start, end }: Span): boolean {
  // What is put in right before or behind a value is no part of it.
  return (
    edit.start >= start &&
    edit.end <= end &&
    (edit.start < edit.end || (edit.start > start && edit.end < end))
  );
}

/** The value at a span as the request says it: with the edits inside of it applied. */
function edited({ body, edits }: UpstreamRequest, at: Span): Uint8Array {
  const inner = edits.filter((edit) => isWithin(edit, at));
  const shifted = inner.map(({ start, end, insert }) => ({
    start: start - at.start,
    end: end - at.start,
    insert,
  }));
  return splice(body.subarray(at.start, at.end), shifted);
}

/** The request's edits with this one in the place of those inside of it. */
function replaced({ edits }: UpstreamRequest, by: Edit): readonly Edit[] {
  return orderEdits([...edits.filter((edit) => !isWithin(edit, by)), by]);
}

/** Takes a marked id apart; null when it bears the number of none of the replicas. */
function split(id: string | null, replicas: number): { readonly home: number; readonly own: string } | null {
  const match = id === null ? null : /^([0-9a-z]{1,6})\.(.*)$/s.exec(id);
  const home = match === null ? replicas : Number.parseInt(match[1] ?? '', 36);
  return match === null || home >= replicas ? null : { home, own: match[2] ?? '' };
}

/** Puts a replica's number before the ids of tasks in a reply. */
export class TaskMarkingSink extends ContainedSink {
  readonly #sink: UpstreamSink;
  readonly #scanner: Scanner;
  readonly #home: number;
  readonly #method: string;
  #call: UpstreamCall | null = null;
  /** Of an event stream. */
  #reader: EventReader | null = null;
  /** Of a JSON reply, until it is whole or too large for what names a task. */
  #parts: Uint8Array[] | null = null;
  #bytes = 0;

  constructor(sink: UpstreamSink, scanner: Scanner, home: number, method: string) {
    super();
    this.#sink = sink;
    this.#scanner = scanner;
    this.#home = home;
    this.#method = method;
  }

  /** Takes the call whose reply it is; the caller holds on to what is returned. */
  started(call: UpstreamCall): UpstreamCall {
    this.#call = call;
    return {
      resume: () => call.resume(),
      outlast: () => call.outlast?.(),
      abort: () => {
        this.leave();
        call.abort();
      },
    };
  }

  protected head(head: ReplyHead): void {
    if (head.media === 'event-stream') this.#reader = new EventReader(this.#scanner);
    else if (head.media === 'json') this.#parts = [];
    this.#sink.onHead(this.#parts === null ? head : new UnmeasuredHead(head));
  }

  protected data(bytes: Uint8Array): boolean {
    if (this.#reader !== null) return this.#events(this.#reader, bytes, false);
    if (this.#parts === null) return this.#sink.onData(bytes);
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
    return this.#bytes <= LIMITS.messageBytesMax || this.#flush(false);
  }

  protected ended(): void {
    if (this.#reader !== null) this.#events(this.#reader, EMPTY, true);
    this.#flush(true);
    if (!this.over) this.#sink.onEnd();
  }

  protected failed(error: GatewayError): void {
    this.#call?.abort();
    this.#sink.onFail(error);
  }

  #flush(isWhole: boolean): boolean {
    const parts = this.#parts;
    this.#parts = null;
    if (parts === null || parts.length === 0) return true;
    const body = concat(parts);
    return this.#sink.onData(isWhole ? (this.#marked(body) ?? body) : body);
  }

  #events(reader: EventReader, bytes: Uint8Array, isLast: boolean): boolean {
    let hasRoom = true;
    const visit = (event: StreamEvent): void => {
      if (!this.over) hasRoom = this.#sink.onData(this.#event(event)) && hasRoom;
    };
    reader.push(bytes, visit, isLast);
    return hasRoom;
  }

  #event({ data, whole }: StreamEvent): Uint8Array {
    const message = data.length === 0 ? null : this.#marked(data);
    return message === null ? whole : messageEvent(message);
  }

  /** The message with marked ids; null when it names no task. */
  #marked(bytes: Uint8Array): Uint8Array | null {
    const message = readMessage(this.#scanner, bytes);
    const ids = message instanceof GatewayError ? [] : namedTasks(message, this.#method);
    const edits = ids.flatMap((at) => {
      const own = readString(bytes, at.start, at.end);
      return own === null ? [] : [replaceString(at, `${this.#home.toString(36)}${MARK}${own}`)];
    });
    return edits.length === 0 ? null : splice(bytes, edits);
  }
}

/** A head whose body's length is not known yet. */
class UnmeasuredHead implements ReplyHead {
  readonly status: number;
  readonly media: ReplyHead['media'];
  readonly contentLength = -1;
  readonly whole: boolean;
  readonly sessionId: string | null;
  readonly #head: ReplyHead;

  constructor(head: ReplyHead) {
    this.status = head.status;
    this.media = head.media;
    this.whole = head.whole;
    this.sessionId = head.sessionId;
    this.#head = head;
  }

  header(name: string): string | null {
    return this.#head.header(name);
  }
}
