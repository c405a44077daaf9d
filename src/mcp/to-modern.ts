// What a legacy server says and is told, as a modern client means it: results completed, errors recoded, requests without their envelope.
// Called by bridge/modern-to-legacy. Promises: pure; edits touch nothing but what they are about, so that unknown fields, key order and
// the spelling of numbers and strings survive. Sources: MCP 2025-11-25 and 2026-07-28 (schema, caching, versioning).
import { type Edit, encode, orderEdits } from '../base/bytes.ts';
import { RPC } from '../base/errors.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import { carriedClient, carriedServer, serverInfoOf } from './capabilities.ts';
import { isRecord, kindOf, type Message, span } from './envelope.ts';
import { errorCode, errorData, recoded } from './error-edits.ts';
import { isArray, isObject, readString, type Span } from './json.ts';
import { editArray, editObject, type Fate, rawMember, rawObject } from './object-edits.ts';
import { isCacheable, META, META_PREFIX, METHOD, MODERN_VERSIONS } from './protocol.ts';

/** For how long a result holds, and for whom, where its server does not say. */
export interface Caching {
  readonly ttlMs: number;
  readonly cacheScope: 'public' | 'private';
}

const COMPLETE = encode('"complete"');

/** Edits that complete a legacy result for a modern client; `serverInfo` is raw JSON. None when the message is no result, or its result no object. */
export function modernResultEdits(
  message: Message,
  method: string,
  serverInfo: Uint8Array,
  caching: Caching,
): readonly Edit[] {
  const result = span(message.envelope, ENVELOPE.result);
  if (kindOf(message.envelope) !== KIND.result || result === null) return [];
  if (!isObject(message.bytes, result.start)) return [];
  return new Completion(message.bytes, method, serverInfo, caching).edits(result.start);
}

/** Completes one result. */
class Completion {
  readonly #bytes: Uint8Array;
  readonly #method: string;
  readonly #serverInfo: Uint8Array;
  readonly #edits: Edit[] = [];
  /** Members that are still to be added, by key, raw. */
  readonly #lacking: Map<string, Uint8Array>;

  constructor(bytes: Uint8Array, method: string, serverInfo: Uint8Array, caching: Caching) {
    this.#bytes = bytes;
    this.#method = method;
    this.#serverInfo = serverInfo;
    this.#lacking = new Map([
      ['resultType', COMPLETE],
      ['_meta', this.#ownMeta()],
    ]);
    if (!isCacheable(method)) return;
    this.#lacking.set('ttlMs', encode(String(caching.ttlMs)));
    this.#lacking.set('cacheScope', encode(`"${caching.cacheScope}"`));
  }

  edits(at: number): readonly Edit[] {
    editObject(this.#bytes, at, this.#edits, {
      fate: (key, value) => this.#fate(key, value),
      added: () => [...this.#lacking].map(([key, value]) => rawMember(key, value)),
    });
    return orderEdits(this.#edits);
  }

  #fate(key: string, value: Span): Fate {
    if (key === 'tools' && this.#method === METHOD.toolsList) this.#tools(value);
    const own = this.#lacking.get(key);
    if (own === undefined) return 'keep';
    this.#lacking.delete(key);
    if (key === '_meta' && isObject(this.#bytes, value.start)) return this.#meta(value);
    if (!this.#isValid(key, value)) return own;
    // Only complete results say for how long they hold.
    if (key === 'resultType' && readString(this.#bytes, value.start, value.end) !== 'complete') {
      this.#lacking.delete('ttlMs');
      this.#lacking.delete('cacheScope');
    }
    return 'keep';
  }

  #isValid(key: string, value: Span): boolean {
    const text = readString(this.#bytes, value.start, value.end);
    if (key === 'resultType') return text !== null;
    if (key === 'cacheScope') return text === 'public' || text === 'private';
    return key === 'ttlMs' && isDigits(this.#bytes, value);
  }

  #ownMeta(): Uint8Array {
    return rawObject([rawMember(META.serverInfo, this.#serverInfo)]);
  }

  #meta(meta: Span): Fate {
    let isNamed = false;
    editObject(this.#bytes, meta.start, this.#edits, {
      fate: (key, value) => {
        if (key !== META.serverInfo) return 'keep';
        isNamed = true;
        return isObject(this.#bytes, value.start) ? 'keep' : this.#serverInfo;
      },
      added: () => (isNamed ? [] : [rawMember(META.serverInfo, this.#serverInfo)]),
    });
    return 'keep';
  }

  /** `execution` says how 2025-11-25 tasks go with a tool, which no modern client can ask for. */
  #tools(list: Span): void {
    if (!isArray(this.#bytes, list.start)) return;
    editArray(this.#bytes, list.start, this.#edits, {
      fate: (tool) => {
        if (isObject(this.#bytes, tool.start)) {
          editObject(this.#bytes, tool.start, this.#edits, {
            fate: (key) => (key === 'execution' ? 'drop' : 'keep'),
          });
        }
        return 'keep';
      },
    });
  }
}

function isDigits(bytes: Uint8Array, value: Span): boolean {
  for (let i = value.start; i < value.end; i++) {
    const byte = bytes[i] ?? 0;
    if (byte < 0x30 || byte > 0x39) return false;
  }
  return true;
}

/** Codes that 2026-07-28 keeps for itself: a legacy server means something else by them. */
function isReserved(code: number): boolean {
  return code <= -32020 && code >= -32099;
}

/**
 * The value of `error` as a modern peer may say it, or null when it stays as it is. `uri` is the raw URI that was asked for: it names the missing
 * resource where the server does not. A -32042 becomes "the client lacks URL elicitation": who can ask the user takes urlElicitationsOf().
 */
export function modernError(message: Message, uri: Uint8Array | null = null): Uint8Array | null {
  const code = errorCode(message);
  if (code === RPC.resourceMissing) return recoded(message, RPC.invalidParams, uri === null ? {} : { uri });
  if (code === RPC.urlElicitation && urlElicitationsOf(message) !== null) {
    const requiredCapabilities = encode('{"elicitation":{"url":{}}}');
    return recoded(message, RPC.missingCapability, { requiredCapabilities });
  }
  return code !== null && isReserved(code) ? recoded(message, RPC.internal) : null;
}

/** Params of the URL elicitations that a -32042 error wants, as input requests have them (without elicitationId); null when it wants none. */
export function urlElicitationsOf(message: Message): readonly Record<string, unknown>[] | null {
  if (errorCode(message) !== RPC.urlElicitation) return null;
  const { elicitations } = errorData(message);
  if (!Array.isArray(elicitations)) return null;
  const wanted = elicitations.filter(isRecord).flatMap(({ elicitationId: _gone, ...rest }) => {
    if (typeof rest.url !== 'string') return [];
    const message = typeof rest.message === 'string' ? rest.message : 'Open this page to go on';
    return [{ ...rest, mode: 'url', message }];
  });
  return wanted.length === 0 ? null : wanted;
}

/** Edits that take a modern request's envelope off: the protocol's keys of `_meta` (and a `_meta` emptied by that), and the fields of a retry. */
export function legacyRequestEdits(body: Uint8Array, envelope: Int32Array): readonly Edit[] {
  const params = span(envelope, ENVELOPE.params);
  if (params === null || !isObject(body, params.start)) return [];
  const edits: Edit[] = [];
  editObject(body, params.start, edits, {
    fate: (key, value) => {
      if (key === 'inputResponses' || key === 'requestState') return 'drop';
      if (key !== '_meta' || !isObject(body, value.start)) return 'keep';
      const inner: Edit[] = [];
      const left = editObject(body, value.start, inner, {
        fate: (name) => (name.startsWith(META_PREFIX) ? 'drop' : 'keep'),
      });
      if (left === 0 && inner.length > 0) return 'drop';
      edits.push(...inner);
      return 'keep';
    },
  });
  return orderEdits(edits);
}

/** Capabilities of a modern client as an `initialize` may declare them: what the gateway can carry. */
export function legacyCapabilities(modern: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return carriedClient(modern);
}

/** Where nobody says for how long a result holds. */
const UNKEPT: Caching = Object.freeze({ ttlMs: 0, cacheScope: 'private' });

/** Result of server/discover for a server that answered `initialize` so. */
export function discoverResult(
  initialize: Readonly<Record<string, unknown>>,
  caching: Caching = UNKEPT,
): Record<string, unknown> {
  return {
    supportedVersions: MODERN_VERSIONS,
    capabilities: carriedServer(initialize.capabilities),
    ...(typeof initialize.instructions === 'string' ? { instructions: initialize.instructions } : {}),
    resultType: 'complete',
    ...caching,
    _meta: {
      ...(isRecord(initialize._meta) ? initialize._meta : {}),
      [META.serverInfo]: serverInfoOf(initialize.serverInfo),
    },
  };
}
