// What a request asks for, as its server will read it: the method, the tool, and whether asking twice is asking once.
// Called by the policies. Promises: pure; names come with the edits applied, that is as the server knows them, without an aggregate's prefix.
import { equalsAscii, splice } from '../base/bytes.ts';
import { has, span, text } from '../mcp/envelope.ts';
import { isObject, member, readString } from '../mcp/json.ts';
import { METHOD } from '../mcp/protocol.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { UpstreamRequest } from '../upstream/upstream.ts';

/** Methods that change nothing at the server. */
const READS: ReadonlySet<string> = new Set([
  METHOD.ping,
  METHOD.discover,
  METHOD.toolsList,
  METHOD.promptsList,
  METHOD.promptsGet,
  METHOD.resourcesList,
  METHOD.templatesList,
  METHOD.resourcesRead,
  METHOD.complete,
]);

/** True for methods that change nothing at the server. */
export function isRead(method: string): boolean {
  return READS.has(method);
}

/** Methods that an endpoint asks of all its servers for one request of a client. */
const JOINED: ReadonlySet<string> = new Set([
  METHOD.ping,
  METHOD.initialize,
  METHOD.discover,
  METHOD.setLevel,
  METHOD.toolsList,
  METHOD.promptsList,
  METHOD.resourcesList,
  METHOD.templatesList,
  METHOD.tasksList,
]);

/** True for requests that go to all servers of an endpoint at once, or begin what calls need. */
export function isJoined(request: UpstreamRequest): boolean {
  return JOINED.has(methodOf(request));
}

/** Unescaped method of a request; '' when there is none. */
export function methodOf({ body, envelope }: UpstreamRequest): string {
  return envelope === null ? '' : (text(body, envelope, ENVELOPE.method) ?? '');
}

function isMethod({ body, envelope }: UpstreamRequest, method: string, telling: number): boolean {
  const start = (envelope?.[ENVELOPE.method] ?? -1) + 1;
  // tools/call and tools/list are of one length: the letter behind the slash tells them apart before anything else is looked at.
  if (start === 0 || body[start + 6] !== telling) return false;
  return equalsAscii(body, start, (envelope?.[ENVELOPE.method + 1] ?? 0) - 1, method);
}

/** True for a tools/call, spelled without escapes. */
export function isToolsCall(request: UpstreamRequest): boolean {
  return isMethod(request, METHOD.toolsCall, 0x63);
}

/** True for a tools/list, spelled without escapes. */
export function isToolsList(request: UpstreamRequest): boolean {
  return isMethod(request, METHOD.toolsList, 0x6c);
}

/** Name of the tool that a tools/call is for, as its server knows it; '' when it names none. */
export function toolOf({ body, envelope, edits }: UpstreamRequest): string {
  const at = envelope === null ? null : span(envelope, ENVELOPE.name);
  if (at === null) return '';
  if (edits.length === 0) return readString(body, at.start, at.end) ?? '';
  const within = edits
    .filter(({ start, end }) => start >= at.start && end <= at.end)
    .map(({ start, end, insert }) => ({ start: start - at.start, end: end - at.start, insert }));
  const name = splice(body.subarray(at.start, at.end), within);
  return readString(name, 0, name.length) ?? '';
}

/** Name of the tool or prompt, or URI of the resource, that a request is for, as its server knows it; '' when it names none. */
export function targetOf(request: UpstreamRequest): string {
  const name = toolOf(request);
  if (name !== '' || request.envelope === null) return name;
  return text(request.body, request.envelope, ENVELOPE.uri) ?? '';
}

/** True for a request that goes on with an earlier one: what it brings back may be good for one use. */
export function isContinued({ envelope }: UpstreamRequest): boolean {
  return (
    envelope !== null && (has(envelope, ENVELOPE.requestState) || has(envelope, ENVELOPE.inputResponses))
  );
}

/** True for a call that is to become a task (2025-11-25): a second one is a second task, whatever its tool does. */
export function makesTask({ body, envelope }: UpstreamRequest): boolean {
  const params = envelope === null ? null : span(envelope, ENVELOPE.params);
  return params !== null && isObject(body, params.start) && member(body, params.start, 'task') !== null;
}
