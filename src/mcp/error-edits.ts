// The error of a reply with another code, and more data where it lacks some: for codes that mean something else in the other era.
// Called by to-modern and to-legacy. Promises: message, data and what is unknown keep their bytes; pure.
import { decode, type Edit, encode, splice } from '../base/bytes.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import { isRecord, kindOf, type Message, raw, span } from './envelope.ts';
import { isObject } from './json.ts';
import { editObject, rawMember, rawObject } from './object-edits.ts';

/** Code of an error reply; null when the message is none, or its code no integer. */
export function errorCode(message: Message): number | null {
  if (kindOf(message.envelope) !== KIND.error) return null;
  const at = raw(message.bytes, message.envelope, ENVELOPE.errorCode);
  const code = at === null ? Number.NaN : Number(decode(at));
  return Number.isInteger(code) ? code : null;
}

/** `error.data` of an error reply, parsed; {} when it is absent or no object. */
export function errorData(message: Message): Record<string, unknown> {
  const at = raw(message.bytes, message.envelope, ENVELOPE.error);
  const error: unknown = at === null ? null : JSON.parse(decode(at));
  return isRecord(error) && isRecord(error.data) ? error.data : {};
}

/**
 * The value of `error` with another code. Its data has these members behind its own where it lacks them; data that is no object is replaced. Null when
 * the message has no error object.
 */
export function recoded(
  message: Message,
  code: number,
  data: Readonly<Record<string, Uint8Array>> = {},
): Uint8Array | null {
  const at = span(message.envelope, ENVELOPE.error);
  if (at === null || !isObject(message.bytes, at.start)) return null;
  const error = message.bytes.subarray(at.start, at.end);
  const lacking = new Map(Object.entries(data));
  const missing = () => [...lacking].map(([key, value]) => rawMember(key, value));
  const edits: Edit[] = [];
  let hasData = lacking.size === 0;
  editObject(error, 0, edits, {
    fate: (key, value) => {
      if (key === 'code') return encode(String(code));
      if (key !== 'data' || hasData) return 'keep';
      hasData = true;
      if (!isObject(error, value.start)) return rawObject(missing());
      const keepsOwn = (own: string) => {
        lacking.delete(own);
        return 'keep' as const;
      };
      editObject(error, value.start, edits, { fate: keepsOwn, added: missing });
      return 'keep';
    },
    added: () => (hasData ? [] : [rawMember('data', rawObject(missing()))]),
  });
  return splice(error, edits);
}
