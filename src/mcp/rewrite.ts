// Which spans of a message change on an aggregated endpoint: names and URIs get or lose their server's mark.
// Called by proxy, bridge and mcp/merge. Promises: returns edits over the bytes at hand and touches nothing else, so that unknown
// fields, key order, number spelling and white space survive.
import { type Edit, encode } from '../base/bytes.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import { kindOf, span, text } from './envelope.ts';
import { eachElement, isArray, isObject, member, readString, type Span } from './json.ts';
import { joinName, joinUri } from './names.ts';
import { METHOD } from './protocol.ts';

function quoted(value: string): Uint8Array {
  return encode(JSON.stringify(value));
}

/** Replaces the string at the span by `value`. */
export function replaceString(at: Span, value: string): Edit {
  return { start: at.start, end: at.end, insert: quoted(value) };
}

/** Shape of one list method: member of the result, and the key of an element that bears the mark. */
export interface ListShape {
  readonly items: string;
  readonly key: string;
  readonly isUri: boolean;
}

const LISTS: Readonly<Record<string, ListShape>> = Object.freeze({
  [METHOD.toolsList]: { items: 'tools', key: 'name', isUri: false },
  [METHOD.promptsList]: { items: 'prompts', key: 'name', isUri: false },
  [METHOD.resourcesList]: { items: 'resources', key: 'uri', isUri: true },
  [METHOD.templatesList]: { items: 'resourceTemplates', key: 'uriTemplate', isUri: true },
});

/** Shape of a list method, or null for any other method. */
export function listShape(method: string): ListShape | null {
  return LISTS[method] ?? null;
}

/** Collects the edits of one member server's messages on their way to the client. */
class ClientEdits {
  readonly edits: Edit[] = [];
  readonly #bytes: Uint8Array;
  readonly #server: string;

  constructor(bytes: Uint8Array, server: string) {
    this.#bytes = bytes;
    this.#server = server;
  }

  uri(at: Span | null): void {
    const value = at === null ? null : readString(this.#bytes, at.start, at.end);
    if (at !== null && value !== null) this.edits.push(replaceString(at, joinUri(this.#server, value)));
  }

  name(at: Span | null): void {
    const value = at === null ? null : readString(this.#bytes, at.start, at.end);
    if (at !== null && value !== null) this.edits.push(replaceString(at, joinName(this.#server, value)));
  }

  /** A content block: resource_link bears a uri, an embedded resource holds one. */
  content(at: number): void {
    if (!isObject(this.#bytes, at)) return;
    const type = member(this.#bytes, at, 'type');
    const kind = type === null ? null : readString(this.#bytes, type.start, type.end);
    if (kind === 'resource_link') this.uri(member(this.#bytes, at, 'uri'));
    if (kind !== 'resource') return;
    const resource = member(this.#bytes, at, 'resource');
    if (resource !== null && isObject(this.#bytes, resource.start))
      this.uri(member(this.#bytes, resource.start, 'uri'));
  }

  contents(list: Span | null): void {
    if (list === null) return;
    if (isArray(this.#bytes, list.start)) eachElement(this.#bytes, list.start, (at) => this.content(at));
    else this.content(list.start);
  }

  /** A task's handle, at the result's top (2026-07-28 extension) or under `task` (2025-11-25): later calls must find their server by it. */
  task(at: number): void {
    this.uri(member(this.#bytes, at, 'taskId'));
    const task = member(this.#bytes, at, 'task');
    if (task !== null && isObject(this.#bytes, task.start))
      this.uri(member(this.#bytes, task.start, 'taskId'));
  }

  /** `_meta.ui.resourceUri` and its older spelling `_meta["ui/resourceUri"]` of MCP Apps: the host reads that resource through us. */
  appUri(at: number): void {
    const meta = member(this.#bytes, at, '_meta');
    if (meta === null || !isObject(this.#bytes, meta.start)) return;
    this.uri(member(this.#bytes, meta.start, 'ui/resourceUri'));
    const ui = member(this.#bytes, meta.start, 'ui');
    if (ui !== null && isObject(this.#bytes, ui.start))
      this.uri(member(this.#bytes, ui.start, 'resourceUri'));
  }
}

/** Edits that put a server's mark on one element of a list. */
export function elementEdits(
  bytes: Uint8Array,
  at: number,
  shape: ListShape,
  server: string,
): readonly Edit[] {
  const found = new ClientEdits(bytes, server);
  if (!isObject(bytes, at)) return found.edits;
  const key = member(bytes, at, shape.key);
  if (shape.isUri) found.uri(key);
  else found.name(key);
  found.appUri(at);
  return found.edits;
}

/** Edits that put a server's mark on the result of a call, a prompt or a read. */
export function resultEdits(
  bytes: Uint8Array,
  envelope: Int32Array,
  method: string,
  server: string,
): readonly Edit[] {
  const found = new ClientEdits(bytes, server);
  const result = span(envelope, ENVELOPE.result);
  if (kindOf(envelope) !== KIND.result || result === null || !isObject(bytes, result.start))
    return found.edits;
  if (method === METHOD.toolsCall) found.contents(member(bytes, result.start, 'content'));
  if (method === METHOD.toolsCall || method.startsWith('tasks/')) found.task(result.start);
  if (method === METHOD.resourcesRead)
    eachObject(bytes, member(bytes, result.start, 'contents'), (at) => found.uri(member(bytes, at, 'uri')));
  if (method === METHOD.promptsGet) {
    eachObject(bytes, member(bytes, result.start, 'messages'), (at) =>
      found.contents(member(bytes, at, 'content')),
    );
  }
  return found.edits;
}

/** Edits that put a server's mark on a notification or a request of the server. */
export function notificationEdits(bytes: Uint8Array, envelope: Int32Array, server: string): readonly Edit[] {
  if (text(bytes, envelope, ENVELOPE.method) !== METHOD.resourceUpdated) return [];
  const found = new ClientEdits(bytes, server);
  found.uri(span(envelope, ENVELOPE.uri));
  return found.edits;
}

function eachObject(bytes: Uint8Array, list: Span | null, visit: (at: number) => void): void {
  if (list === null || !isArray(bytes, list.start)) return;
  eachElement(bytes, list.start, (at) => {
    if (isObject(bytes, at)) visit(at);
  });
}
