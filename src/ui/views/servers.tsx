// All servers: state, era, transport, places, what they did; and the way to add one.
// Called by app.tsx. Promises: follows changes by itself; a server of the configuration file says that it is read-only here.
import { useState } from 'preact/hooks';
import { ask, pathOf } from '../api/client.ts';
import type { Server } from '../api/types.ts';
import { serversTurn } from '../live.ts';
import { count, plural } from '../model/format.ts';
import { hrefOf } from '../model/route.ts';
import { walk } from '../parts/arrows.ts';
import { Icon } from '../parts/icon.tsx';
import { Empty, FaultLine } from '../parts/notice.tsx';
import { PageHead, Search } from '../parts/page-head.tsx';
import { StateMark } from '../parts/state-mark.tsx';
import { useLoaded, useStore } from '../store.ts';
import { ServerForm } from './server-form.tsx';

const POLL_MS = 3000;
const PAGE_SIZE = 200;

function places({ replicas }: Server): string {
  const well = replicas.filter((one) => one.breaker.state === 'closed' && !one.isEjected).length;
  return replicas.length === 0 ? '–' : `${well} of ${replicas.length}`;
}

function Row({ server }: { readonly server: Server }) {
  const worst = server.replicas.find((one) => one.breaker.state !== 'closed')?.breaker.state ?? 'closed';
  return (
    <tr>
      <th scope="row">
        <a href={hrefOf('servers', server.name)}>{server.name}</a>
        {server.origin === 'file' ? <span class="tag">file, read-only</span> : null}
        {server.isShadowed ? <span class="tag">hidden by the file</span> : null}
      </th>
      <td data-label="State">
        <StateMark state={server.state} />
      </td>
      <td data-label="Transport">{server.transport}</td>
      <td data-label="Era">{server.era}</td>
      <td data-label="Places well">{places(server)}</td>
      <td data-label="Breaker">
        <StateMark state={worst} />
      </td>
      <td data-label="Sessions" class="number">
        {count(server.sessions)}
      </td>
      <td data-label="Exchanges" class="number">
        {count(server.counts.exchanges)}
      </td>
      <td data-label="Failures" class="number">
        {count(server.counts.failed)}
      </td>
    </tr>
  );
}

const HEADS = [
  'Name',
  'State',
  'Transport',
  'Era',
  'Places well',
  'Breaker',
  'Sessions',
  'Exchanges',
  'Failures',
];

function Table({ servers }: { readonly servers: readonly Server[] }) {
  return (
    <div class="card flush">
      <table class="table cards" onKeyDown={(event) => walk(event, 'th a')}>
        <thead>
          <tr>
            {HEADS.map((head, at) => (
              <th key={head} scope="col" class={at > 5 ? 'number' : ''}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {servers.map((server) => (
            <Row key={server.name} server={server} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The view. */
export function Servers() {
  const [search, setSearch] = useState('');
  const [isAdding, setAdding] = useState(false);
  const turn = useStore(serversTurn);
  const { answer, fault, again } = useLoaded(
    (signal) =>
      ask<{ items: readonly Server[]; total: number }>(
        pathOf(['servers'], { search, limit: String(PAGE_SIZE) }),
        { signal },
      ),
    { on: [turn, search], everyMs: POLL_MS },
  );
  const servers = answer?.items ?? [];
  const total = answer?.total ?? 0;
  return (
    <>
      <PageHead title="Servers" about={answer === null ? '' : plural(total, 'server')}>
        <Search label="Search servers" value={search} onInput={setSearch} />
        <button type="button" class="main" onClick={() => setAdding(true)}>
          <Icon name="plus" />
          Add a server
        </button>
      </PageHead>
      <FaultLine fault={fault} />
      {servers.length > 0 ? <Table servers={servers} /> : null}
      {answer !== null && servers.length === 0 ? (
        <Empty
          words={search === '' ? 'No servers yet.' : `No server is called like "${search}".`}
          more={search === '' ? 'Add one here, or in the configuration file.' : ''}
        />
      ) : null}
      {total > servers.length ? (
        <p class="muted">The first {servers.length} of them. Search for the others.</p>
      ) : null}
      {isAdding ? (
        <ServerForm
          server={null}
          onClose={() => setAdding(false)}
          onDone={(name) => {
            setAdding(false);
            again();
            location.hash = hrefOf('servers', name);
          }}
        />
      ) : null}
    </>
  );
}
