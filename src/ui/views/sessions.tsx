// Legacy sessions and parked calls that live in this gateway, and ending them.
// Called by app.tsx. Promises: follows by itself; ending one asks first.
import { useState } from 'preact/hooks';
import { ask, pathOf } from '../api/client.ts';
import type { Parked, Session } from '../api/types.ts';
import { ago, clockTime, count, plural } from '../model/format.ts';
import { Confirm } from '../parts/dialog.tsx';
import { attempt, Empty, FaultLine } from '../parts/notice.tsx';
import { PageHead } from '../parts/page-head.tsx';
import { useLoaded } from '../store.ts';

const POLL_MS = 3000;

interface RowsProps<Item> {
  readonly items: readonly Item[];
  readonly onEnd: (id: string) => void;
}

function SessionRows({ items, onEnd }: RowsProps<Session>) {
  const nowMs = Date.now();
  return (
    <table class="table cards">
      <thead>
        <tr>
          {['Session', 'Kind', 'Endpoint', 'Servers', 'Last used', 'Under way'].map((head) => (
            <th key={head} scope="col">
              {head}
            </th>
          ))}
          <td />
        </tr>
      </thead>
      <tbody>
        {items.map((one) => (
          <tr key={one.id}>
            <th scope="row">
              <code>{one.id.slice(0, 12)}</code>
            </th>
            <td data-label="Kind">{one.kind}</td>
            <td data-label="Endpoint">{one.endpoint === '' ? '–' : one.endpoint}</td>
            <td data-label="Servers">{one.servers.join(', ')}</td>
            <td data-label="Last used">{ago(one.lastUsedAt, nowMs)}</td>
            <td data-label="Under way">{count(one.running)}</td>
            <td>
              <button
                type="button"
                aria-label={`End session ${one.id.slice(0, 12)}`}
                onClick={() => onEnd(one.id)}
              >
                End
              </button>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function ParkedRows({ items, onEnd }: RowsProps<Parked>) {
  const nowMs = Date.now();
  return (
    <table class="table cards">
      <thead>
        <tr>
          {['Call', 'Server', 'Waits for', 'Parked', 'Until'].map((head) => (
            <th key={head} scope="col">
              {head}
            </th>
          ))}
          <td />
        </tr>
      </thead>
      <tbody>
        {items.map((one) => (
          <tr key={one.id}>
            <th scope="row">{one.method}</th>
            <td data-label="Server">{one.server}</td>
            <td data-label="Waits for">{one.questions.join(', ')}</td>
            <td data-label="Parked">{ago(one.parkedAt, nowMs)}</td>
            <td data-label="Until">{clockTime(one.expiresAt)}</td>
            <td>
              <button
                type="button"
                aria-label={`End parked call ${one.id.slice(0, 12)}`}
                onClick={() => onEnd(one.id)}
              >
                End
              </button>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface Ending {
  readonly what: 'sessions' | 'parked';
  readonly id: string;
}

const ENDING_WORDS = {
  sessions: 'Its client must begin a new one; what runs in it is given up.',
  parked: 'Its client is told that the call has ended.',
} as const;

/** The view. */
export function Sessions() {
  const [ending, setEnding] = useState<Ending | null>(null);
  const sessions = useLoaded((signal) => ask<{ items: readonly Session[] }>('/sessions', { signal }), {
    on: [],
    everyMs: POLL_MS,
  });
  const parked = useLoaded((signal) => ask<{ items: readonly Parked[] }>('/parked', { signal }), {
    on: [],
    everyMs: POLL_MS,
  });
  const end = ({ what, id }: Ending): void => {
    setEnding(null);
    void attempt(() => ask(pathOf([what, id]), { method: 'DELETE' }), 'Ended').then(() => {
      sessions.again();
      parked.again();
    });
  };
  const live = sessions.answer?.items ?? [];
  const waiting = parked.answer?.items ?? [];
  return (
    <>
      <PageHead title="Sessions" about="Of clients before MCP 2026-07-28; later ones have none." />
      <FaultLine fault={sessions.fault ?? parked.fault} />
      <section class="card flush" aria-labelledby="sessions">
        <h2 id="sessions">{plural(live.length, 'session')}</h2>
        {live.length === 0 ? (
          <Empty words="No sessions." />
        ) : (
          <SessionRows items={live} onEnd={(id) => setEnding({ what: 'sessions', id })} />
        )}
      </section>
      <section class="card flush" aria-labelledby="parked">
        <h2 id="parked">{plural(waiting.length, 'parked call')}</h2>
        {waiting.length === 0 ? (
          <Empty words="No call waits for an answer of its client." />
        ) : (
          <ParkedRows items={waiting} onEnd={(id) => setEnding({ what: 'parked', id })} />
        )}
      </section>
      {ending === null ? null : (
        <Confirm title="End it?" verb="End" onYes={() => end(ending)} onNo={() => setEnding(null)}>
          <p>{ENDING_WORDS[ending.what]}</p>
        </Confirm>
      )}
    </>
  );
}
