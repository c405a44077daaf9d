// Patterns that fit names: `*` is any text, `?` any one character, everything else itself.
// Called by policy/tool-book.ts. Promises: pure; the time to match grows with name and pattern, whatever they are.

/** True for text that stands for itself alone. */
export function isPlain(pattern: string): boolean {
  return !pattern.includes('*') && !pattern.includes('?');
}

/** True when the whole name fits the pattern. Upper and lower case differ, as in names. */
export function fits(pattern: string, name: string): boolean {
  let at = 0;
  let p = 0;
  // Where the last star was, and how far the name went when it was met: a mismatch behind it lets it take one character more.
  let star = -1;
  let mark = 0;
  while (at < name.length) {
    if (pattern[p] === '*') {
      star = p++;
      mark = at;
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === name[at])) {
      p++;
      at++;
    } else if (star >= 0) {
      p = star + 1;
      at = ++mark;
    } else return false;
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}
