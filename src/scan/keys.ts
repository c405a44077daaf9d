// The keys that the envelope scan knows, level by level, as bytes to compare with.
// Called by json.ts; native/scan/keys.h holds the same table (the contract suite finds any difference).
// Promises: built once, frozen in use, found by length and bytes without making anything.
import { ENVELOPE, FLAG } from './contract.ts';

/** One known key: its bytes, where its span goes, its bit among the keys of its level, and what lies below it. */
export interface KnownKey {
  readonly text: Uint8Array;
  readonly slot: number;
  readonly bit: number;
  readonly child: KeyLevel | null;
}

/** The known keys of one object. */
export interface KeyLevel {
  /** FLAG bit for a known key that comes twice; 0 where the contract has none. */
  readonly duplicate: number;
  /** Keys by length in bytes; a length that no key has is absent. */
  readonly byLength: readonly (readonly KnownKey[] | undefined)[];
  /** Every slot of this level and of those below it: emptied when the object itself comes again. */
  readonly slots: readonly number[];
}

type Row = readonly [key: string, slot: number, child?: KeyLevel];

function level(duplicate: number, rows: readonly Row[]): KeyLevel {
  const byLength: KnownKey[][] = [];
  const slots: number[] = [];
  for (const [index, [key, slot, child]] of rows.entries()) {
    const known = { text: new TextEncoder().encode(key), slot, bit: 1 << index, child: child ?? null };
    const same = byLength[key.length];
    if (same === undefined) byLength[key.length] = [known];
    else same.push(known);
    slots.push(slot, ...(child?.slots ?? []));
  }
  return Object.freeze({ duplicate, byLength, slots });
}

const ref = level(FLAG.duplicateRef, [
  ['name', ENVELOPE.refName],
  ['uri', ENVELOPE.refUri],
  ['type', ENVELOPE.refType],
]);

const meta = level(FLAG.duplicateMeta, [
  ['progressToken', ENVELOPE.metaProgressToken],
  ['io.modelcontextprotocol/protocolVersion', ENVELOPE.metaProtocolVersion],
  ['io.modelcontextprotocol/clientCapabilities', ENVELOPE.metaClientCapabilities],
  ['io.modelcontextprotocol/clientInfo', ENVELOPE.metaClientInfo],
  ['io.modelcontextprotocol/logLevel', ENVELOPE.metaLogLevel],
  ['io.modelcontextprotocol/subscriptionId', ENVELOPE.metaSubscriptionId],
]);

const params = level(FLAG.duplicateParams, [
  ['name', ENVELOPE.name],
  ['uri', ENVELOPE.uri],
  ['cursor', ENVELOPE.cursor],
  ['taskId', ENVELOPE.taskId],
  ['requestId', ENVELOPE.requestId],
  ['progressToken', ENVELOPE.progressToken],
  ['requestState', ENVELOPE.requestState],
  ['protocolVersion', ENVELOPE.protocolVersion],
  ['capabilities', ENVELOPE.capabilities],
  ['ref', ENVELOPE.ref, ref],
  ['_meta', ENVELOPE.meta, meta],
  ['arguments', ENVELOPE.arguments],
  ['notifications', ENVELOPE.notifications],
  ['inputResponses', ENVELOPE.inputResponses],
]);

const result = level(0, [
  ['resultType', ENVELOPE.resultType],
  ['nextCursor', ENVELOPE.nextCursor],
  ['_meta', ENVELOPE.resultMeta],
]);

const error = level(0, [['code', ENVELOPE.errorCode]]);

/** The keys of the message itself. */
export const TOP: KeyLevel = level(FLAG.duplicateTop, [
  ['jsonrpc', ENVELOPE.jsonrpc],
  ['id', ENVELOPE.id],
  ['method', ENVELOPE.method],
  ['params', ENVELOPE.params, params],
  ['result', ENVELOPE.result, result],
  ['error', ENVELOPE.error, error],
]);
