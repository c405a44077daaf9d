// What a modern server says and is told, as a legacy client means it: results stripped and wrapped, errors recoded, requests with an envelope.
// Called by bridge/legacy-to-modern. Promises: pure; edits touch nothing but what they are about, so that unknown fields, key order and
// the spelling of numbers and strings survive. Sources: MCP 2024-11-05 … 2025-11-25 and 2026-07-28 (schema), SEP-2106.
import { concat, decode, type Edit, EMPTY, encode, orderEdits } from '../base/bytes.ts';
import { RPC } from '../base/errors.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import { carriedClient, carriedServer, serverInfoOf } from './capabilities.ts';
import { isRecord, kindOf, type Message, span } from './envelope.ts';
import { errorCode, errorData, recoded } from './error-edits.ts';
import { eachElement, isArray, isObject, member, type Span, skipBlank, stringMember } from './json.ts';
import { headerParamsOf } from './mirrored-params.ts';
import { editArray, editObject, type Fate, rawMember, rawObject } from './object-edits.ts';
import { META, META_PREFIX, METHOD } from './protocol.ts';
import { needsWrap, plainProperties, wrapSchema } from './schema-wrap.ts';

/** First revision whose clients read structuredContent. */
const FIRST_STRUCTURED = '2025-06-18';

/** What only the bridge knows of a result. */
export interface LegacyResultContext {
  /** tools/call: the tool was listed with an output schema that had to be wrapped (isOutputWrapped), so even an object is. */
  readonly isWrapped?: boolean;
  /** tools/list over HTTP: tools whose `x-mcp-header` breaks the rules are left out, as SEP-2243 asks of a client. */
  readonly dropsInvalidTools?: boolean;
}

/** Edits that make a modern result one that a strict client of a legacy version reads. None when the message is no result, or its result no object. */
export function legacyResultEdits(
  message: Message,
  method: string,
  version: string,
  context: LegacyResultContext = {},
): readonly Edit[] {
  const result = span(message.envelope, ENVELOPE.result);
  if (kindOf(message.envelope) !== KIND.result || result === null) return [];
  if (!isObject(message.bytes, result.start)) return [];
  const { bytes } = message;
  const edits: Edit[] = [];
  const block = method === METHOD.toolsCall ? textBlock(bytes, result.start, version) : null;
  let hasContent = false;
  editObject(bytes, result.start, edits, {
    fate: (key, value) => {
      if (key === 'resultType' || key === 'ttlMs' || key === 'cacheScope') return 'drop';
      if (key === '_meta') return strippedMeta(bytes, value, edits);
      if (method === METHOD.toolsList && key === 'tools') listTools(bytes, value, edits, context);
      if (method !== METHOD.toolsCall) return 'keep';
      if (key === 'structuredContent') wrapContent(bytes, value, edits, context.isWrapped === true);
      if (key !== 'content') return 'keep';
      hasContent = true;
      return withBlock(bytes, value, edits, block);
    },
    added: () => (block === null || hasContent ? [] : [rawMember('content', concat([OPEN, block, CLOSE]))]),
  });
  return orderEdits(edits);
}

const OPEN = encode('[');
const CLOSE = encode(']');

/** The server names itself in each result; a legacy one did so once. */
function strippedMeta(bytes: Uint8Array, meta: Span, edits: Edit[]): Fate {
  if (!isObject(bytes, meta.start)) return 'keep';
  const inner: Edit[] = [];
  const left = editObject(bytes, meta.start, inner, {
    fate: (key) => (key === META.serverInfo ? 'drop' : 'keep'),
  });
  if (left === 0 && inner.length > 0) return 'drop';
  edits.push(...inner);
  return 'keep';
}

function wrapContent(bytes: Uint8Array, value: Span, edits: Edit[], isWrapped: boolean): void {
  if (isObject(bytes, value.start) && !isWrapped) return;
  edits.push({ start: value.start, end: value.start, insert: encode('{"result":') });
  edits.push({ start: value.end, end: value.end, insert: encode('}') });
}

/** The text block that says what the structured content says, for clients that cannot read that; null where there is text already. */
function textBlock(bytes: Uint8Array, result: number, version: string): Uint8Array | null {
  const structured = member(bytes, result, 'structuredContent');
  if (structured === null) return null;
  if (isObject(bytes, structured.start) && version >= FIRST_STRUCTURED) return null;
  const content = member(bytes, result, 'content');
  let hasText = false;
  if (content !== null && isArray(bytes, content.start)) {
    eachElement(bytes, content.start, (at) => {
      hasText ||= isObject(bytes, at) && stringMember(bytes, at, 'type') === 'text';
    });
  }
  if (hasText) return null;
  const text = encode(JSON.stringify(decode(bytes, structured.start, structured.end)));
  return rawObject([encode('"type":"text"'), rawMember('text', text)]);
}

function withBlock(bytes: Uint8Array, content: Span, edits: Edit[], block: Uint8Array | null): Fate {
  if (block === null) return 'keep';
  if (!isArray(bytes, content.start)) return concat([OPEN, block, CLOSE]);
  editArray(bytes, content.start, edits, { fate: () => 'keep', added: () => [block] });
  return 'keep';
}

function listTools(bytes: Uint8Array, list: Span, edits: Edit[], context: LegacyResultContext): void {
  if (!isArray(bytes, list.start)) return;
  editArray(bytes, list.start, edits, {
    fate: (tool) => {
      if (!isObject(bytes, tool.start)) return 'keep';
      const isDropped =
        context.dropsInvalidTools === true &&
        headerParamsOf(bytes.subarray(tool.start, tool.end)).fault !== null;
      if (isDropped) return 'drop';
      editObject(bytes, tool.start, edits, {
        fate: (key, value) => {
          if (key === 'outputSchema' && needsWrap(bytes, value)) wrapSchema(bytes, value, edits);
          else if (key === 'outputSchema' || key === 'inputSchema') plainProperties(bytes, value, edits);
          return 'keep';
        },
      });
      return 'keep';
    },
  });
}

/** True when legacy clients see the output of this tool (bytes of one element of `tools`) wrapped, whatever it is. */
export function isOutputWrapped(tool: Uint8Array): boolean {
  const schema = isObject(tool, 0) ? member(tool, 0, 'outputSchema') : null;
  return schema !== null && needsWrap(tool, schema);
}

/** The value of `error` as a legacy client knows it, or null when it stays as it is. */
export function legacyError(message: Message, method: string): Uint8Array | null {
  switch (errorCode(message)) {
    // The client has no part in what these are about: headers, envelope and versions are the gateway's doing.
    case RPC.headerMismatch:
    case RPC.missingCapability:
    case RPC.unsupportedVersion:
      return recoded(message, RPC.internal);
    case RPC.invalidParams:
      return method === METHOD.resourcesRead && isMissingResource(errorData(message))
        ? recoded(message, RPC.resourceMissing)
        : null;
    default:
      return null;
  }
}

/** 2026-07-28 has no code of its own for it: the data holds the URI and nothing else. */
function isMissingResource(data: Readonly<Record<string, unknown>>): boolean {
  return typeof data.uri === 'string' && Object.keys(data).length === 1;
}

/**
 * Edits that put the envelope of 2026-07-28 into a request: `meta` are raw members of `params._meta` (`"k":v,"k2":v2`), `retry` raw members of
 * `params` (inputResponses and requestState). What the client itself wrote in these places goes. Params that are an array stay as they are.
 */
export function modernRequestEdits(
  body: Uint8Array,
  envelope: Int32Array,
  meta: Uint8Array,
  retry: Uint8Array = EMPTY,
): readonly Edit[] {
  const edits: Edit[] = [];
  const params = span(envelope, ENVELOPE.params);
  const own = () => rawMember('_meta', rawObject([meta]));
  const again = retry.length === 0 ? [] : [retry];
  if (params === null) {
    const at = skipBlank(body, 0);
    const added = () => [rawMember('params', rawObject([own(), ...again]))];
    editObject(body, at, edits, { fate: () => 'keep', added });
    return orderEdits(edits);
  }
  if (!isObject(body, params.start)) return edits;
  let hasMeta = false;
  editObject(body, params.start, edits, {
    fate: (key, value) => {
      if (key === 'inputResponses' || key === 'requestState') return 'drop';
      if (key !== '_meta') return 'keep';
      hasMeta = true;
      if (!isObject(body, value.start)) return rawObject([meta]);
      editObject(body, value.start, edits, {
        fate: (name) => (name.startsWith(META_PREFIX) ? 'drop' : 'keep'),
        added: () => [meta],
      });
      return 'keep';
    },
    added: () => (hasMeta ? again : [own(), ...again]),
  });
  return orderEdits(edits);
}

/** InitializeResult for a client of a legacy version, of what the server said to server/discover. */
export function initializeResult(
  discover: Readonly<Record<string, unknown>>,
  version: string,
): Record<string, unknown> {
  const { [META.serverInfo]: serverInfo, ...meta } = isRecord(discover._meta) ? discover._meta : {};
  return {
    protocolVersion: version,
    capabilities: carriedServer(discover.capabilities),
    serverInfo: serverInfoOf(serverInfo),
    ...(typeof discover.instructions === 'string' ? { instructions: discover.instructions } : {}),
    ...(Object.keys(meta).length === 0 ? {} : { _meta: meta }),
  };
}

/** Capabilities of a legacy client as its requests declare them to a modern server. `elicitation: {}` was how 2025-06-18 said "forms". */
export function modernCapabilities(legacy: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const carried = carriedClient(legacy);
  const { elicitation } = carried;
  const isForm = isRecord(elicitation) && Object.keys(elicitation).length === 0;
  return isForm ? { ...carried, elicitation: { form: {} } } : carried;
}
