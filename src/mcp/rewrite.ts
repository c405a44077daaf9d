// Which spans of a message change on an aggregated endpoint: names, URIs and task ids get or lose their server's mark.
// Called by proxy, bridge and mcp/merge. Promises: returns edits over the bytes at hand and touches nothing else, so that unknown
// fields, key order, number spelling and white space survive.
import { type Edit, encode } from '../base/bytes.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import { has, kindOf, span, text } from './envelope.ts';
import { eachElement, isArray, isObject, member, readString, type Span } from './json.ts';
import { joinUri, ownUri } from './names.ts';
import { META, METHOD } from './protocol.ts';

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

/** Tasks of 2025-11-25; the extension of later revisions has no such list. */
const LEGACY_LISTS: Readonly<Record<string, ListShape>> = Object.freeze({
  ...LISTS,
  [METHOD.tasksList]: { items: 'tasks', key: 'taskId', isUri: true },
});

/** Shape of a list method of an era, or null for any other method. */
export function listShape(method: string, era: 'legacy' | 'modern'): ListShape | null {
  const lists = era === 'legacy' ? LEGACY_LISTS : LISTS;
  return Object.hasOwn(lists, method) ? (lists[method] ?? null) : null;
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

  /** A task's state, in which the call's result is inlined once it is there (2026-07-28 extension). */
  taskState(at: number): void {
    this.task(at);
    const result = member(this.#bytes, at, 'result');
    if (result !== null && isObject(this.#bytes, result.start))
      this.contents(member(this.#bytes, result.start, 'content'));
  }

  /** The task that a message belongs to (2025-11-25): `meta` is the span of its `_meta`. */
  relatedTask(meta: Span | null): void {
    this.uri(relatedTaskId(this.#bytes, meta));
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

/** Edits that put a server's mark on one element of a list; `outward` is the name that it gets, where it has one. */
export function elementEdits(
  bytes: Uint8Array,
  at: number,
  shape: ListShape,
  whose: { readonly server: string; readonly outward: string | null },
): readonly Edit[] {
  const found = new ClientEdits(bytes, whose.server);
  if (!isObject(bytes, at)) return found.edits;
  const key = member(bytes, at, shape.key);
  if (shape.isUri) found.uri(key);
  else if (key !== null && whose.outward !== null) found.edits.push(replaceString(key, whose.outward));
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
  if (method === METHOD.toolsCall || method === METHOD.tasksResult)
    found.contents(member(bytes, result.start, 'content'));
  if (method.startsWith('tasks/') && method !== METHOD.tasksResult) found.taskState(result.start);
  else if (method === METHOD.toolsCall || isTask(bytes, envelope)) found.task(result.start);
  found.relatedTask(span(envelope, ENVELOPE.resultMeta));
  if (method === METHOD.resourcesRead)
    eachObject(bytes, member(bytes, result.start, 'contents'), (at) => found.uri(member(bytes, at, 'uri')));
  if (method === METHOD.promptsGet) {
    eachObject(bytes, member(bytes, result.start, 'messages'), (at) =>
      found.contents(member(bytes, at, 'content')),
    );
  }
  return found.edits;
}

/** True for the handle of a task in the place of any other result (extension): which calls can have one is open. */
function isTask(bytes: Uint8Array, envelope: Int32Array): boolean {
  return has(envelope, ENVELOPE.resultType) && text(bytes, envelope, ENVELOPE.resultType) === 'task';
}

/** Edits that put a server's mark on a notification or a request of the server. */
export function notificationEdits(bytes: Uint8Array, envelope: Int32Array, server: string): readonly Edit[] {
  const found = new ClientEdits(bytes, server);
  const method = text(bytes, envelope, ENVELOPE.method);
  if (method === METHOD.resourceUpdated) found.uri(span(envelope, ENVELOPE.uri));
  const params = span(envelope, ENVELOPE.params);
  const isState = method === METHOD.taskStatus || method === METHOD.taskChanged;
  if (isState && params !== null && isObject(bytes, params.start)) found.taskState(params.start);
  found.relatedTask(span(envelope, ENVELOPE.meta));
  return found.edits;
}

/** Edits that take a server's mark off the task that a client's message belongs to (2025-11-25); one of the client's own bears none. */
export function relatedTaskEdits(bytes: Uint8Array, envelope: Int32Array, server: string): readonly Edit[] {
  const place = kindOf(envelope) === KIND.result ? ENVELOPE.resultMeta : ENVELOPE.meta;
  const at = relatedTaskId(bytes, span(envelope, place));
  const own = at === null ? null : ownUri(server, readString(bytes, at.start, at.end) ?? '');
  return at === null || own === null ? [] : [replaceString(at, own)];
}

function relatedTaskId(bytes: Uint8Array, meta: Span | null): Span | null {
  const related =
    meta === null || !isObject(bytes, meta.start) ? null : member(bytes, meta.start, META.relatedTask);
  return related === null || !isObject(bytes, related.start) ? null : member(bytes, related.start, 'taskId');
}

function eachObject(bytes: Uint8Array, list: Span | null, visit: (at: number) => void): void {
  if (list === null || !isArray(bytes, list.start)) return;
  eachElement(bytes, list.start, (at) => {
    if (isObject(bytes, at)) visit(at);
  });
}
