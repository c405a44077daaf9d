// Whether a JSON text is the answer to a call: told by searching, since parsing every reply would cost more than what is measured.
// Called by reply.ts. Promises: pure; quotes inside JSON strings are escaped, so that text carried by a reply is never taken for its own fields.

/** What verdictOf() says of a text that answers something else, or nothing. */
export const NO_ANSWER = 'not an answer to this call';

/**
 * Null for a result of the call with this id; else what it is. `text` may be the two ends of a long reply, and holds Latin-1 of UTF-8
 * bytes, which is enough for names and numbers.
 */
export function verdictOf(text: string, id: number): string | null {
  if (!bearsId(text, id))
    return text.includes('"error"') && !text.includes('"result"') ? errorOf(text) : NO_ANSWER;
  if (text.includes('"result"'))
    return text.includes('"isError"') && /"isError"\s*:\s*true/.test(text) ? 'tool error' : null;
  return text.includes('"error"') ? errorOf(text) : NO_ANSWER;
}

function bearsId(text: string, id: number): boolean {
  const at = text.indexOf(`"id":${id}`);
  if (at >= 0) return !isDigit(text.charCodeAt(at + 5 + `${id}`.length));
  return new RegExp(`"id"\\s*:\\s*${id}(?!\\d)`).test(text);
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function errorOf(text: string): string {
  return `error ${/"code"\s*:\s*(-?\d+)/.exec(text)?.[1] ?? 'without a code'}`;
}
