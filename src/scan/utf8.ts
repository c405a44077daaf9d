// UTF-8 as RFC 3629 allows it: no overlong forms, no surrogates, nothing beyond U+10FFFF, nothing cut short.
// Called by json.ts. Promises: pure, reads nothing outside the range it is given.

/**
 * Length in bytes (2 to 4) of the multi-byte character that starts at `at`, or 0 when the bytes before `end` are none.
 * bytes[at] must be 0x80 or above.
 */
export function characterLength(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at] ?? 0;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (at + length > end) return 0;
  // RFC 3629 §4: the second byte alone decides about overlong forms, surrogates and the upper end.
  const second = bytes[at + 1] ?? 0;
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest) return 0;
  for (let i = 2; i < length; i++) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  return length;
}

/** True when bytes[start…end) are UTF-8. */
export function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    if ((bytes[at] ?? 0) < 0x80) {
      at++;
      continue;
    }
    const length = characterLength(bytes, at, end);
    if (length === 0) return false;
    at += length;
  }
  return true;
}
