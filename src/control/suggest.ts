// The nearest known word to a mistyped one.
// Called by check.ts for unknown keys and by cli/ for unknown servers and tools. Promises: pure; null when nothing
// is near enough to be a likely meaning, so that a wild guess is never offered.

/** Single-character insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b`. */
export function editDistance(a: string, b: string): number {
  let twoBack: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(
        (previous[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (previous[j - 1] ?? 0) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (twoBack[j - 2] ?? 0) + 1);
      }
      row.push(best);
    }
    twoBack = previous;
    previous = row;
  }
  return previous[b.length] ?? 0;
}

/**
 * The known word that `word` most likely means, or null. Case, `_` and `-` do not count as differences
 * (`idle_timeout_ms` means `idleTimeoutMs`); neither does a unit that was left off (`idleTimeout`).
 */
export function nearest(word: string, known: readonly string[]): string | null {
  const plain = bare(word);
  if (plain.length === 0) return null;
  let best: string | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const target = bare(candidate);
    const begins = plain.length >= 3 && target.startsWith(plain);
    const distance = begins ? 0.5 : editDistance(plain, target);
    if (
      distance < bestDistance &&
      distance <= Math.max(1, Math.floor(Math.max(plain.length, target.length) / 3))
    ) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function bare(word: string): string {
  return word.slice(0, 64).toLowerCase().replaceAll(/[_-]/g, '');
}
