// Requests for lists that the gateway makes in the name of a client who called something by a name that only lists tell.
// Called by aggregate-modern.ts and aggregate-legacy.ts. Promises: pure; they say of the client what its call said, and report no progress.
import { concat, type Edit, encode, orderEdits, splice } from '../base/bytes.ts';
import type { Draft } from '../bridge/member.ts';
import type { Exchange } from '../exchange.ts';
import { span } from '../mcp/envelope.ts';
import { isObject } from '../mcp/json.ts';
import { editObject } from '../mcp/object-edits.ts';
import { ENVELOPE, type Scanner } from '../scan/contract.ts';

/** A draft that may be used when the exchange that it came with is over. */
export function ownDraft({ body, envelope, edits }: Draft): Draft {
  return { body: body.slice(), envelope: envelope?.slice() ?? null, edits };
}

/** A list request of a legacy session. */
export function legacyListDraft(scanner: Scanner, method: string): Draft {
  return scanned(scanner, encode(JSON.stringify({ jsonrpc: '2.0', id: 'sluice', method })));
}

/** A list request with the `_meta` of a modern call. */
export function modernListDraft(scanner: Scanner, { body, envelope }: Exchange, method: string): Draft {
  const meta = envelope === null ? null : span(envelope, ENVELOPE.meta);
  const edits: Edit[] = [];
  let own = encode('{}');
  if (meta !== null && isObject(body, meta.start)) {
    // What reports of its progress is the call, not this.
    editObject(body, meta.start, edits, { fate: (key) => (key === 'progressToken' ? 'drop' : 'keep') });
    const at = meta.start;
    const shifted = edits.map((edit) => ({ ...edit, start: edit.start - at, end: edit.end - at }));
    own = splice(body.subarray(at, meta.end), orderEdits(shifted));
  }
  const head = `{"jsonrpc":"2.0","id":"sluice","method":${JSON.stringify(method)},"params":{"_meta":`;
  return scanned(scanner, concat([encode(head), own, encode('}}')]));
}

function scanned(scanner: Scanner, body: Uint8Array): Draft {
  const envelope = new Int32Array(ENVELOPE.length);
  scanner.scan(body, 0, body.length, envelope);
  return { body, envelope, edits: [] };
}
