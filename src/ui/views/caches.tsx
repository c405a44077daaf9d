// What is kept of servers' answers, how often it served, and emptying it.
// Called by app.tsx. Promises: follows by itself; emptying costs nothing but the next calls.
import { ask } from '../api/client.ts';
import type { CacheCounts } from '../api/types.ts';
import { bytes, count, percent } from '../model/format.ts';
import { hrefOf } from '../model/route.ts';
import { attempt, Empty, FaultLine } from '../parts/notice.tsx';
import { PageHead } from '../parts/page-head.tsx';
import { useLoaded } from '../store.ts';

const POLL_MS = 3000;

type Row = CacheCounts & { readonly server: string };

const HEADS = ['Server', 'Served from it', 'Hits', 'Shared', 'Misses', 'Stale', 'Evicted', 'Entries', 'Size'];

function Line({ row, onPurge }: { readonly row: Row; readonly onPurge: () => void }) {
  const served = row.hits + row.shared;
  return (
    <tr>
      <th scope="row">
        <a href={hrefOf('servers', row.server)}>{row.server}</a>
      </th>
      <td data-label="Served from it" class="number">
        {percent(served, served + row.misses)}
      </td>
      {[row.hits, row.shared, row.misses, row.stale, row.evictions, row.entries].map((value, at) => (
        <td key={HEADS[at + 2]} data-label={HEADS[at + 2]} class="number">
          {count(value)}
        </td>
      ))}
      <td data-label="Size" class="number">
        {bytes(row.bytes)}
      </td>
      <td>
        <button type="button" aria-label={`Empty the cache of ${row.server}`} onClick={onPurge}>
          Empty
        </button>
      </td>
    </tr>
  );
}

/** The view. */
export function Caches() {
  const { answer, fault, again } = useLoaded(
    (signal) => ask<{ items: readonly Row[] }>('/caches', { signal }),
    {
      on: [],
      everyMs: POLL_MS,
    },
  );
  const purge = (body: { server?: string }): void => {
    void attempt(() => ask('/caches/purge', { method: 'POST', body }), 'Emptied').then(again);
  };
  const rows = answer?.items ?? [];
  return (
    <>
      <PageHead title="Caches" about="Answers that servers let the gateway keep.">
        <button type="button" disabled={rows.length === 0} onClick={() => purge({})}>
          Empty all
        </button>
      </PageHead>
      <FaultLine fault={fault} />
      {answer !== null && rows.length === 0 ? <Empty words="Nothing is kept." /> : null}
      {rows.length === 0 ? null : (
        <div class="card flush">
          <table class="table cards">
            <thead>
              <tr>
                {HEADS.map((head, at) => (
                  <th key={head} scope="col" class={at > 0 ? 'number' : ''}>
                    {head}
                  </th>
                ))}
                <td />
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <Line key={row.server} row={row} onPurge={() => purge({ server: row.server })} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}
