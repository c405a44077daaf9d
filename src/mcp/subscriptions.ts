// subscriptions/listen: what its filter names, and the messages of its stream.
// Called by bridge/modern-to-legacy/listen*.ts and proxy/listen.ts. Promises: pure; a notification keeps its bytes but for the tag that it gets.
// Source: MCP 2026-07-28, subscriptions.
import { concat, type Edit, encode, splice } from '../base/bytes.ts';
import { ENVELOPE } from '../scan/contract.ts';
import { isRecord, type Message, objectAt, span } from './envelope.ts';
import { isObject } from './json.ts';
import { subscriptionTag } from './merge.ts';
import { editObject, rawMember } from './object-edits.ts';
import { META, METHOD } from './protocol.ts';

/** What each flag of a filter announces. */
export const CHANGED: Readonly<Record<string, string>> = Object.freeze({
  toolsListChanged: METHOD.toolsChanged,
  promptsListChanged: METHOD.promptsChanged,
  resourcesListChanged: METHOD.resourcesChanged,
});

/** The capability that stands behind each flag. */
const CAPABILITY: Readonly<Record<string, string>> = Object.freeze({
  toolsListChanged: 'tools',
  promptsListChanged: 'prompts',
  resourcesListChanged: 'resources',
});

/** What a listen asks for, or is granted. */
export interface ListenFilter {
  /** Keys of CHANGED. */
  readonly flags: readonly string[];
  /** Resources to hear of. */
  readonly uris: readonly string[];
}

/** What a listen asks for, as far as a legacy server that declares these capabilities can give it. */
export function honourable({ bytes, envelope }: Message, capabilities: unknown): ListenFilter {
  const asked = objectAt(bytes, envelope, ENVELOPE.notifications);
  const declares = (capability: string | undefined, what: string): boolean => {
    const part = isRecord(capabilities) && capability !== undefined ? capabilities[capability] : null;
    return isRecord(part) && part[what] === true;
  };
  const flags = Object.keys(CHANGED).filter(
    (flag) => asked[flag] === true && declares(CAPABILITY[flag], 'listChanged'),
  );
  const uris: readonly unknown[] = Array.isArray(asked.resourceSubscriptions)
    ? asked.resourceSubscriptions
    : [];
  const texts = uris.filter((uri): uri is string => typeof uri === 'string');
  return { flags, uris: declares('resources', 'subscribe') ? [...new Set(texts)] : [] };
}

/** True when an update of one resource is one of another that was subscribed to: it may lie beneath it. */
export function covers(subscribed: string, updated: string): boolean {
  if (subscribed === updated) return true;
  return updated.startsWith(subscribed.endsWith('/') ? subscribed : `${subscribed}/`);
}

/** A notification of our own on a listen's stream; `id` is the raw id of the listen. */
export function listenNotification(
  id: Uint8Array,
  method: string,
  params: Readonly<Record<string, unknown>>,
): Uint8Array {
  const inner = JSON.stringify(params).slice(1, -1);
  const head = `{"jsonrpc":"2.0","method":${JSON.stringify(method)},"params":{${inner === '' ? '' : `${inner},`}"_meta":`;
  return concat([encode(head), subscriptionTag(id), encode('}}')]);
}

/** The first message of a listen's stream: what it will hear. */
export function acknowledgement(id: Uint8Array, { flags, uris }: ListenFilter): Uint8Array {
  const notifications: Record<string, unknown> = Object.fromEntries(flags.map((flag) => [flag, true]));
  if (uris.length > 0) notifications.resourceSubscriptions = uris;
  return listenNotification(id, METHOD.acknowledged, { notifications });
}

/** A server's notification with the tag of the listen that it is for. */
export function tagged({ bytes, envelope }: Message, id: Uint8Array): Uint8Array {
  const params = span(envelope, ENVELOPE.params);
  const tag = subscriptionTag(id);
  const edits: Edit[] = [];
  if (params === null) {
    const end = span(envelope, ENVELOPE.method)?.end ?? 0;
    edits.push({ start: end, end, insert: concat([encode(',"params":{"_meta":'), tag, encode('}')]) });
  } else if (!isObject(bytes, params.start)) {
    edits.push({
      start: params.start,
      end: params.end,
      insert: concat([encode('{"_meta":'), tag, encode('}')]),
    });
  } else tagParams(bytes, envelope, edits, { at: params.start, id, tag });
  return splice(bytes, edits);
}

function tagParams(
  bytes: Uint8Array,
  envelope: Int32Array,
  edits: Edit[],
  { at, id, tag }: { readonly at: number; readonly id: Uint8Array; readonly tag: Uint8Array },
): void {
  const meta = span(envelope, ENVELOPE.meta);
  if (meta === null) {
    editObject(bytes, at, edits, { fate: () => 'keep', added: () => [rawMember('_meta', tag)] });
  } else if (!isObject(bytes, meta.start)) {
    edits.push({ start: meta.start, end: meta.end, insert: tag });
  } else {
    editObject(bytes, meta.start, edits, {
      fate: (key) => (key === META.subscriptionId ? 'drop' : 'keep'),
      added: () => [rawMember(META.subscriptionId, id)],
    });
  }
}
