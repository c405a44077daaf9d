// What characters may be part of in HTTP/1.1 (RFC 9110 §5.6.2, §5.5; RFC 9112 §3.2).
// Called by http1-head.ts and http1-reply.ts. Promises: a table; characters beyond one byte are of no kind.

const TAB = 9;
const SPACE = 32;

/** Of names and methods. */
export const TOKEN = 1;
/** Of a request's target. */
export const TARGET = 2;
/** Of a header's value. */
export const VALUE = 4;
/** Capital letters. */
export const UPPER = 8;
const KINDS = kinds();

function kinds(): Uint8Array {
  const table = new Uint8Array(256);
  for (let code = 0; code < 256; code++) {
    const char = String.fromCharCode(code);
    let kind = 0;
    if (/[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(char)) kind |= TOKEN;
    if (code > SPACE && code < 127) kind |= TARGET;
    if (code === TAB || (code >= SPACE && code !== 127)) kind |= VALUE;
    if (/[A-Z]/.test(char)) kind |= UPPER;
    table[code] = kind;
  }
  return table;
}

/** Kinds, as bits, of the character at a place of a text; 0 beyond its end. */
export function kindAt(text: string, at: number): number {
  return KINDS[text.charCodeAt(at)] ?? 0;
}
