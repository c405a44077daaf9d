// Two values, and what differs between them.
// Called by views/audit.tsx. Promises: signs say it as well as colours do.
import type { Json } from '../api/types.ts';
import { diffLines, linesOf } from '../model/diff.ts';

const SIGNS = { same: ' ', gone: '-', new: '+' } as const;

/** The difference, line by line. */
export function DiffView({ before, after }: { readonly before: Json | null; readonly after: Json | null }) {
  const lines = diffLines(linesOf(before), linesOf(after));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reached by keyboard
    <section class="code scroll" tabIndex={0} aria-label="Difference">
      <pre class="diff">
        {lines.map((line, at) => (
          <span key={at} class={`diff-${line.kind}`}>{`${SIGNS[line.kind]} ${line.text}\n`}</span>
        ))}
      </pre>
    </section>
  );
}
