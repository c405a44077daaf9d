// One server: its places with their breakers and pools, its processes, its last faults, its settings.
// Called by app.tsx. Promises: follows changes by itself; breakers can be tripped and reset here.
import { useState } from 'preact/hooks';
import { ApiFault, ask, pathOf } from '../api/client.ts';
import type { Replica, Server } from '../api/types.ts';
import { serversTurn } from '../live.ts';
import { bytes, count, dayTime, percent, plural } from '../model/format.ts';
import { hrefOf } from '../model/route.ts';
import { JsonCode } from '../parts/code.tsx';
import { attempt, Empty, FaultLine } from '../parts/notice.tsx';
import { PageHead } from '../parts/page-head.tsx';
import { StateMark } from '../parts/state-mark.tsx';
import { useLoaded, useStore } from '../store.ts';
import { ServerActions } from './server-actions.tsx';

const POLL_MS = 2000;

interface PartProps {
  readonly server: Server;
  readonly again: () => void;
}

function Place({ server, replica, again }: PartProps & { readonly replica: Replica }) {
  const { breaker, pool } = replica;
  const act = (verb: 'trip' | 'reset', done: string): void => {
    const path = pathOf(['breakers', server.name, String(replica.index), verb]);
    void attempt(() => ask(path, { method: 'POST' }), done).then(again);
  };
  return (
    <tr>
      <th scope="row">{replica.address}</th>
      <td data-label="Weight" class="number">
        {replica.weight}
      </td>
      <td data-label="Breaker">
        <StateMark state={breaker.state} />
        {breaker.isForced ? <span class="tag">by hand</span> : null}
        {replica.isEjected ? <span class="tag">left out</span> : null}
      </td>
      <td data-label="Ended well / badly" class="number">
        {count(breaker.successes)} / {count(breaker.failures)}
      </td>
      <td data-label="Connections">
        {pool === null ? '–' : `${pool.busy} busy, ${pool.idle} idle, ${pool.waiting} waiting`}
      </td>
      <td data-label="Reused">{pool === null ? '–' : percent(pool.reuses, pool.reuses + pool.connects)}</td>
      <td>
        {breaker.state === 'closed' ? (
          <button
            type="button"
            aria-label={`Trip ${replica.address}`}
            onClick={() => act('trip', 'The breaker is open until it is reset')}
          >
            Trip
          </button>
        ) : (
          <button
            type="button"
            aria-label={`Reset ${replica.address}`}
            onClick={() => act('reset', 'The breaker is closed')}
          >
            Reset
          </button>
        )}
      </td>
    </tr>
  );
}

function Places(props: PartProps) {
  return (
    <section class="card flush" aria-labelledby="places">
      <h2 id="places">Places</h2>
      <table class="table cards">
        <thead>
          <tr>
            <th scope="col">Address</th>
            <th scope="col" class="number">
              Weight
            </th>
            <th scope="col">Breaker</th>
            <th scope="col" class="number">
              Ended well / badly
            </th>
            <th scope="col">Connections</th>
            <th scope="col">Reused</th>
            <td />
          </tr>
        </thead>
        <tbody>
          {props.server.replicas.map((replica) => (
            <Place key={replica.index} {...props} replica={replica} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Faults({ server }: { readonly server: Server }) {
  return (
    <section class="card" aria-labelledby="faults">
      <h2 id="faults">Last faults</h2>
      {server.faults.length === 0 ? <Empty words="None." /> : null}
      <ul class="plain lines">
        {server.faults.map((fault) => (
          <li key={`${fault.at} ${fault.code}`}>
            <span class="muted">{dayTime(fault.at)}</span> <code>{fault.code}</code> {fault.detail}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Processes({ server }: { readonly server: Server }) {
  if (server.children.length === 0) return null;
  return (
    <section class="card" aria-labelledby="processes">
      <h2 id="processes">Processes</h2>
      <ul class="plain lines">
        {server.children.map((child) => (
          <li key={child.pid}>
            <code>{child.pid}</code> of worker {child.worker}, {child.sharing}, {bytes(child.rssBytes)}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Facts({ server }: { readonly server: Server }) {
  const { counts, cache } = server;
  const facts: readonly (readonly [string, string])[] = [
    ['Transport', server.transport],
    ['Era', server.era],
    ['Endpoint', server.endpoint],
    ['Sessions', count(server.sessions)],
    ['Exchanges', count(counts.exchanges)],
    ['Refused', count(counts.refused)],
    ['Failed', count(counts.failed)],
    ['Abandoned', count(counts.abandoned)],
    [
      'From the cache',
      cache === null ? '–' : percent(cache.hits + cache.shared, cache.hits + cache.shared + cache.misses),
    ],
  ];
  return (
    <dl class="figures small">
      {facts.map(([words, value]) => (
        <div key={words} class="figure">
          <dt>{words}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Body(props: PartProps) {
  const { server } = props;
  return (
    <>
      <Facts server={server} />
      <Places {...props} />
      <div class="halves">
        <Faults server={server} />
        <Processes server={server} />
      </div>
      <section class="card" aria-labelledby="settings">
        <h2 id="settings">Settings</h2>
        <JsonCode value={server.settings} label={`Settings of ${server.name}`} />
        <p class="muted">
          {server.origin === 'file'
            ? 'From the configuration file: it is changed there.'
            : `From the registry, version ${server.version ?? 0}.`}
        </p>
      </section>
    </>
  );
}

/** The view. */
export function ServerPage({ name }: { readonly name: string }) {
  const turn = useStore(serversTurn);
  const [isHeld, hold] = useState(false);
  const { answer, fault, isLoading, again } = useLoaded(
    (signal) =>
      ask<Server>(pathOf(['servers', name]), { signal }).catch((thrown: unknown) => {
        if (thrown instanceof ApiFault && thrown.status === 404) return null;
        // everything else is shown as what it is
        throw thrown;
      }),
    { on: [turn, name], everyMs: POLL_MS, isHeld },
  );
  return (
    <>
      <p class="back">
        <a href={hrefOf('servers')}>‹ Servers</a>
      </p>
      <PageHead title={name} about={answer === null ? '' : plural(answer.replicas.length, 'place')}>
        {answer === null ? null : (
          <>
            <StateMark state={answer.state} />
            <a class="button" href={hrefOf('tools', name)}>
              Tools
            </a>
            <ServerActions server={answer} again={again} hold={hold} />
          </>
        )}
      </PageHead>
      <FaultLine fault={fault} />
      {answer === null ? null : <Body server={answer} again={again} />}
      {answer === null && fault === null && !isLoading ? (
        <Empty words="There is no server of this name." />
      ) : null}
    </>
  );
}
