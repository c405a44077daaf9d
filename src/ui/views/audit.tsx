// Who changed what, when: newest first, with the difference.
// Called by app.tsx. Promises: new entries appear by themselves; older ones are asked for in pages.
import { useState } from 'preact/hooks';
import { ask, pathOf, wordsOf } from '../api/client.ts';
import type { AuditEvent, Json } from '../api/types.ts';
import { auditTurn } from '../live.ts';
import { dayTime } from '../model/format.ts';
import { DiffView } from '../parts/diff-view.tsx';
import { Empty, FaultLine } from '../parts/notice.tsx';
import { PageHead } from '../parts/page-head.tsx';
import { useLoaded, useStore } from '../store.ts';

const LIMIT = '50';

interface Page {
  readonly items: readonly AuditEvent[];
  readonly next: number | string | null;
}

const page = (after: string | null, signal: AbortSignal | null): Promise<Page> =>
  ask<Page>(pathOf(['audit'], { limit: LIMIT, after }), signal === null ? {} : { signal });

/** What an entry keeps of before and after is JSON, whatever the API's own type says. */
const jsonOf = (value: unknown): Json | null => (value === undefined ? null : (value as Json | null));

function Entry({ entry }: { readonly entry: AuditEvent }) {
  const before = jsonOf(entry.before);
  const after = jsonOf(entry.after);
  const hasChange = before !== null || after !== null;
  return (
    <li class="card entry">
      <p>
        <span class="tag">{entry.action}</span> <b>{entry.subject}</b>
        <span class="muted">
          {' '}
          by {entry.actor}, {dayTime(entry.at)}
        </span>
      </p>
      {hasChange ? (
        <details>
          <summary>What changed</summary>
          <DiffView before={before} after={after} />
        </details>
      ) : null}
    </li>
  );
}

/** The view. */
export function Audit() {
  const turn = useStore(auditTurn);
  const first = useLoaded((signal) => page(null, signal), { on: [turn] });
  const [older, setOlder] = useState<readonly Page[]>([]);
  const [fault, setFault] = useState<string | null>(null);
  const pages = first.answer === null ? [] : [first.answer, ...older];
  const entries = new Map(pages.flatMap((one) => one.items).map((entry) => [String(entry.id), entry]));
  const next = pages.at(-1)?.next ?? null;
  const more = (): void => {
    page(String(next), null).then(
      (found) => setOlder([...older, found]),
      (thrown: unknown) => setFault(wordsOf(thrown)),
    );
  };
  return (
    <>
      <PageHead title="Audit" about="Every change made through this page, the API and the command line." />
      <FaultLine fault={first.fault ?? fault} />
      {first.answer !== null && entries.size === 0 ? <Empty words="Nothing has been changed yet." /> : null}
      <ul class="plain">
        {[...entries.values()].map((entry) => (
          <Entry key={String(entry.id)} entry={entry} />
        ))}
      </ul>
      {next === null ? null : (
        <button type="button" onClick={more}>
          Older ones
        </button>
      )}
    </>
  );
}
