// One spelling for each JSON value, so that two that mean the same compare as text.
// Called by policy/cache-key.ts. Promises: pure; the bytes must have passed a scan; values that differ for any reader give different texts. Numbers keep
// their spelling, since to read them would make equal what is not (9007199254740993 and …992); so 1 and 1.0 differ, which costs a miss and harms nobody.
import { decode } from '../base/bytes.ts';
import { eachElement, eachMember, isArray, isObject, readString, valueEnd } from './json.ts';

/** Text of the value at `at`: no blanks, members in the order of their keys, equal strings spelled alike. */
export function canonical(bytes: Uint8Array, at: number): string {
  if (isObject(bytes, at)) return object(bytes, at);
  if (isArray(bytes, at)) {
    const items: string[] = [];
    eachElement(bytes, at, (start) => items.push(canonical(bytes, start)));
    return `[${items.join()}]`;
  }
  const end = valueEnd(bytes, at);
  const text = readString(bytes, at, end);
  return text === null ? decode(bytes, at, end) : JSON.stringify(text);
}

function object(bytes: Uint8Array, at: number): string {
  const members: { readonly key: string; readonly text: string }[] = [];
  eachMember(bytes, at, (name, value) => {
    const key = readString(bytes, name.start, name.end) ?? '';
    members.push({ key, text: `${JSON.stringify(key)}:${canonical(bytes, value.start)}` });
  });
  // Of a key that comes twice, which one counts is for the reader: the sort keeps their order.
  members.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return `{${members.map(({ text }) => text).join()}}`;
}
