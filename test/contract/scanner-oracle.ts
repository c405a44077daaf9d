// Second opinions on what a scan says, from code that shares nothing with the scanners: JSON.parse and a fatal TextDecoder.
// Called by scanner.ts. Promises: slow, obvious, and independent of the order in which a scanner reads.
import { LIMITS } from '../../src/base/limits.ts';
import { ENVELOPE, FLAG, KIND, SCAN } from '../../src/scan/contract.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Where in a message the value of each span lies. */
export const PATHS: Readonly<Record<string, readonly string[]>> = {
  jsonrpc: ['jsonrpc'],
  id: ['id'],
  method: ['method'],
  params: ['params'],
  result: ['result'],
  error: ['error'],
  name: ['params', 'name'],
  uri: ['params', 'uri'],
  cursor: ['params', 'cursor'],
  taskId: ['params', 'taskId'],
  requestId: ['params', 'requestId'],
  progressToken: ['params', 'progressToken'],
  requestState: ['params', 'requestState'],
  protocolVersion: ['params', 'protocolVersion'],
  capabilities: ['params', 'capabilities'],
  ref: ['params', 'ref'],
  refName: ['params', 'ref', 'name'],
  refUri: ['params', 'ref', 'uri'],
  refType: ['params', 'ref', 'type'],
  meta: ['params', '_meta'],
  arguments: ['params', 'arguments'],
  notifications: ['params', 'notifications'],
  metaProgressToken: ['params', '_meta', 'progressToken'],
  metaProtocolVersion: ['params', '_meta', 'io.modelcontextprotocol/protocolVersion'],
  metaClientCapabilities: ['params', '_meta', 'io.modelcontextprotocol/clientCapabilities'],
  metaClientInfo: ['params', '_meta', 'io.modelcontextprotocol/clientInfo'],
  metaLogLevel: ['params', '_meta', 'io.modelcontextprotocol/logLevel'],
  metaSubscriptionId: ['params', '_meta', 'io.modelcontextprotocol/subscriptionId'],
  resultType: ['result', 'resultType'],
  nextCursor: ['result', 'nextCursor'],
  resultMeta: ['result', '_meta'],
  errorCode: ['error', 'code'],
  inputResponses: ['params', 'inputResponses'],
};

const DUPLICATES = FLAG.duplicateTop | FLAG.duplicateParams | FLAG.duplicateMeta | FLAG.duplicateRef;
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of UTF-8 bytes, or null when they are none. */
export function strictText(bytes: Uint8Array): string | null {
  try {
    return strict.decode(bytes);
  } catch {
    return null;
  }
}

function parse(text: string): { value: Json } | null {
  try {
    return { value: JSON.parse(text) as Json };
  } catch {
    return null;
  }
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function at(value: Json, path: readonly string[]): Json | undefined {
  let here: Json | undefined = value;
  for (const key of path) {
    if (!isObject(here) || !Object.hasOwn(here, key)) return undefined;
    here = here[key];
  }
  return here;
}

function depthOf(value: Json): number {
  if (typeof value !== 'object' || value === null) return 0;
  let deepest = 0;
  for (const inner of Object.values(value)) deepest = Math.max(deepest, depthOf(inner));
  return deepest + 1;
}

/** What is wrong with the verdict on these bytes, or null. Depth is judged by the scanners' own limit. */
export function disputeVerdict(bytes: Uint8Array, code: number): string | null {
  const text = strictText(bytes);
  if (text === null) return code === SCAN.utf8 ? null : `not UTF-8, but the code is ${code}`;
  if (/^[ \t\r\n]*$/.test(text)) return code === SCAN.empty ? null : `blank, but the code is ${code}`;
  const parsed = parse(text);
  if (parsed !== null) {
    const wanted = depthOf(parsed.value) > LIMITS.jsonDepthMax ? SCAN.depth : SCAN.ok;
    return code === wanted ? null : `JSON, but the code is ${code} and not ${wanted}`;
  }
  if (code === SCAN.syntax) return null;
  return code === SCAN.depth && text.length > LIMITS.jsonDepthMax
    ? null
    : `not JSON, but the code is ${code}`;
}

function expectedKind(value: Json): number {
  if (Array.isArray(value)) return KIND.batch;
  if (!isObject(value)) return KIND.none;
  if ('method' in value) return 'id' in value ? KIND.request : KIND.notification;
  if ('error' in value) return KIND.error;
  return 'result' in value ? KIND.result : KIND.none;
}

function expectedFlags(value: Json, text: string): number {
  let flags = /[\r\n]/.test(text) ? FLAG.newline : 0;
  if (Array.isArray(value) && value.length === 0) flags |= FLAG.emptyBatch;
  if (!isObject(value)) return flags;
  if (value.jsonrpc !== '2.0') flags |= FLAG.notVersion2;
  const { id, method, params } = value;
  // A number's spelling is lost by parsing: the span itself is looked at by the caller.
  if (id !== undefined && typeof id !== 'string' && typeof id !== 'number') flags |= FLAG.badId;
  if (method !== undefined && typeof method !== 'string') flags |= FLAG.badMethod;
  if (params !== undefined && (typeof params !== 'object' || params === null)) flags |= FLAG.badParams;
  const meta = at(value, ['params', '_meta']);
  if (meta !== undefined && !isObject(meta)) flags |= FLAG.badMeta;
  const parts = ['method', 'result', 'error'].filter((key) => key in value);
  return parts.length > 1 ? flags | FLAG.mixed : flags;
}

/** What is wrong with an envelope that came with SCAN.ok for these bytes, or null. */
export function disputeEnvelope(bytes: Uint8Array, envelope: Int32Array): string | null {
  const text = strictText(bytes);
  const parsed = text === null ? null : parse(text);
  if (text === null || parsed === null) return 'accepted, but not JSON';
  const { value } = parsed;
  const kind = envelope[ENVELOPE.kind];
  if (kind !== expectedKind(value)) return `kind is ${kind} and not ${expectedKind(value)}`;
  const count = Array.isArray(value) ? value.length : 0;
  if (envelope[ENVELOPE.batchCount] !== count) return `batchCount is ${envelope[ENVELOPE.batchCount]}`;
  // Parsing drops all but the last of equal keys, so with some of them a deeper one may have been lost.
  const flags = envelope[ENVELOPE.flags] ?? 0;
  if ((envelope[ENVELOPE.depth] ?? 0) < depthOf(value)) return `depth is ${envelope[ENVELOPE.depth]}`;
  let expected = expectedFlags(value, text);
  for (const [slot, path] of Object.entries(PATHS)) {
    const place = ENVELOPE[slot as keyof typeof ENVELOPE];
    const start = envelope[place] ?? -1;
    const end = envelope[place + 1] ?? -1;
    const wanted = Array.isArray(value) ? undefined : at(value, path);
    if (wanted === undefined) {
      if (start !== -1 || end !== -1) return `${slot} is ${start}…${end}, but absent`;
      continue;
    }
    const raw = strictText(bytes.subarray(start, end)) ?? '';
    if (raw === '' || raw !== raw.trim() || !Bun.deepEquals(parse(raw)?.value, wanted, true)) {
      return `${slot} is ${start}…${end}: ${raw}`;
    }
    if (slot === 'id' && typeof wanted === 'number' && /[.eE]/.test(raw)) expected |= FLAG.badId;
  }
  return (flags & ~DUPLICATES) === expected ? null : `flags are ${flags} and not ${expected}`;
}
