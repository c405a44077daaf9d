// The first view: what is wrong now, how much is going on, and which servers and endpoints do it.
// Called by app.tsx. Promises: moves with the stream of the gateway; figures are as text beside every curve.
import { useMemo, useState } from 'preact/hooks';
import { ask } from '../api/client.ts';
import type { Endpoint, OverviewPoint, Server, Status } from '../api/types.ts';
import { points, serversTurn } from '../live.ts';
import { bytes, count, duration, plural, UNKNOWN } from '../model/format.ts';
import { hrefOf } from '../model/route.ts';
import { columnsOf } from '../model/series.ts';
import { type Trouble, troubleIn } from '../model/trouble.ts';
import { Chart, type Curve } from '../parts/chart.tsx';
import { Icon } from '../parts/icon.tsx';
import { Empty, FaultLine } from '../parts/notice.tsx';
import { PageHead } from '../parts/page-head.tsx';
import { StateMark } from '../parts/state-mark.tsx';
import { type Loaded, useLoaded, useStore } from '../store.ts';

const POLL_MS = 5000;
const WINDOWS_MIN = [1, 5, 15, 30] as const;
const TOP_MAX = 6;

interface Panel {
  readonly title: string;
  readonly curves: readonly Curve[];
  readonly figures: readonly ((point: OverviewPoint) => number | null)[];
  readonly show: (value: number | null) => string;
}

const PANELS: readonly Panel[] = [
  {
    title: 'Exchanges a second',
    curves: [
      { label: 'all', colour: 'accent', isFilled: true },
      { label: 'errors', colour: 'bad' },
    ],
    figures: [(point) => point.exchangesPerSecond, (point) => point.errorsPerSecond],
    show: count,
  },
  {
    title: 'Latency',
    curves: [
      { label: 'p50', colour: 'accent' },
      { label: 'p99', colour: 'warn' },
    ],
    figures: [(point) => point.p50Ms, (point) => point.p99Ms],
    show: duration,
  },
  {
    title: 'Processor',
    curves: [{ label: 'of one core', colour: 'violet', isFilled: true }],
    figures: [(point) => point.cpuPercent],
    show: (value) => (value === null ? UNKNOWN : `${value.toFixed(value < 10 ? 1 : 0)} %`),
  },
  {
    title: 'Memory',
    curves: [{ label: 'resident', colour: 'violet', isFilled: true }],
    figures: [(point) => point.rssBytes],
    show: bytes,
  },
];

function Figure({
  words,
  value,
  tone,
}: {
  readonly words: string;
  readonly value: string;
  readonly tone?: 'bad' | undefined;
}) {
  return (
    <div class={`figure ${tone ?? ''}`}>
      <dt>{words}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** How many of the workers serve. */
function workersShown(point: OverviewPoint | null): string {
  if (point === null) return UNKNOWN;
  const well = point.workers.filter((worker) => worker.state === 'serving').length;
  return well === point.workers.length ? String(well) : `${well} of ${point.workers.length}`;
}

function Figures({
  point,
  status,
}: {
  readonly point: OverviewPoint | null;
  readonly status: Status | null;
}) {
  const errors = point?.errorsPerSecond ?? 0;
  return (
    <dl class="figures">
      <Figure words="Exchanges / s" value={count(point?.exchangesPerSecond)} />
      <Figure
        words="Errors / s"
        value={count(point?.errorsPerSecond)}
        tone={errors > 0 ? 'bad' : undefined}
      />
      <Figure words="p50" value={duration(point?.p50Ms)} />
      <Figure words="p99" value={duration(point?.p99Ms)} />
      <Figure words="Under way" value={count(point?.activeExchanges)} />
      <Figure words="Sessions" value={count(point?.sessions)} />
      <Figure words="Workers" value={workersShown(point)} />
      <Figure words="Up for" value={duration(status?.uptimeMs)} />
    </dl>
  );
}

function Troubles({
  troubles,
  isKnown,
}: {
  readonly troubles: readonly Trouble[];
  readonly isKnown: boolean;
}) {
  if (!isKnown) return <section class="card troubles" aria-label="What is wrong now" aria-busy="true" />;
  if (troubles.length === 0)
    return (
      <section class="card troubles calm" aria-label="What is wrong now">
        <Icon name="check" />
        <p>Nothing is wrong right now.</p>
      </section>
    );
  return (
    <section class="card troubles" aria-labelledby="wrong">
      <h2 id="wrong">What is wrong now</h2>
      <ul class="plain">
        {troubles.map((trouble) => (
          <li key={trouble.key} class={`trouble trouble-${trouble.level}`}>
            <Icon name="warn" />
            <div>
              <a href={trouble.href}>{trouble.title}</a>
              <p class="muted">{trouble.detail}</p>
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}

function TopServers({ servers }: { readonly servers: readonly Server[] }) {
  const top = [...servers]
    .sort((one, other) => other.counts.exchanges - one.counts.exchanges)
    .slice(0, TOP_MAX);
  return (
    <section class="card" aria-labelledby="top-servers">
      <h2 id="top-servers">Busiest servers</h2>
      {top.length === 0 ? (
        <Empty words="No servers yet." more="Add one under Servers, or in the configuration file." />
      ) : null}
      <table class="table slim">
        <tbody>
          {top.map((server) => (
            <tr key={server.name}>
              <th scope="row">
                <a href={hrefOf('servers', server.name)}>{server.name}</a>
              </th>
              <td>
                <StateMark state={server.state} />
              </td>
              <td class="number">{count(server.counts.exchanges)} exchanges</td>
              <td class="number">{plural(server.counts.failed, 'failure')}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Endpoints({ endpoints }: { readonly endpoints: readonly Endpoint[] }) {
  const shown = [...endpoints]
    .sort((one, other) => other.counts.exchanges - one.counts.exchanges)
    .slice(0, TOP_MAX);
  return (
    <section class="card" aria-labelledby="endpoints">
      <h2 id="endpoints">Endpoints</h2>
      <table class="table slim">
        <thead>
          <tr>
            <th scope="col">Path</th>
            <th scope="col" class="number">
              Exchanges
            </th>
            <th scope="col" class="number">
              p50
            </th>
            <th scope="col" class="number">
              p99
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.map((endpoint) => (
            <tr key={endpoint.path}>
              <th scope="row">{endpoint.path}</th>
              <td class="number">{count(endpoint.counts.exchanges)}</td>
              <td class="number">{duration(endpoint.latencyMs?.p50)}</td>
              <td class="number">{duration(endpoint.latencyMs?.p99)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Charts({ windowMs }: { readonly windowMs: number }) {
  const list = useStore(points);
  const nowMs = Date.parse(list.at(-1)?.at ?? '') || Date.now();
  const drawn = useMemo(
    () => PANELS.map((panel) => columnsOf(list, panel.figures, { nowMs, windowMs })),
    [list, nowMs, windowMs],
  );
  return (
    <div class="charts">
      {PANELS.map((panel, at) => (
        <Chart key={panel.title} {...panel} data={drawn[at] ?? [[]]} windowMs={windowMs} nowMs={nowMs} />
      ))}
    </div>
  );
}

function asked<Item>(path: string, turn: number): Loaded<{ items: readonly Item[] }> {
  return useLoaded((signal) => ask<{ items: readonly Item[] }>(path, { signal }), {
    on: [turn],
    everyMs: POLL_MS,
  });
}

/** The view. */
export function Overview() {
  const turn = useStore(serversTurn);
  const status = useLoaded((signal) => ask<Status>('/status', { signal }), { on: [turn], everyMs: POLL_MS });
  const servers = asked<Server>('/servers?limit=500', turn);
  const endpoints = asked<Endpoint>('/endpoints', turn);
  const point = useStore(points).at(-1) ?? null;
  const [minutes, setMinutes] = useState<number>(5);
  const list = servers.answer?.items ?? [];
  const about = status.answer === null ? '' : `Sluice ${status.answer.version} at ${status.answer.url}`;
  return (
    <>
      <PageHead title="Overview" about={about}>
        <label class="inline">
          Window
          <select value={String(minutes)} onChange={(event) => setMinutes(Number(event.currentTarget.value))}>
            {WINDOWS_MIN.map((value) => (
              <option key={value} value={String(value)}>
                {plural(value, 'minute')}
              </option>
            ))}
          </select>
        </label>
      </PageHead>
      <FaultLine fault={status.fault ?? servers.fault} />
      <Troubles
        troubles={troubleIn(status.answer, list)}
        isKnown={status.answer !== null && servers.answer !== null}
      />
      <Figures point={point} status={status.answer} />
      <Charts windowMs={minutes * 60_000} />
      <div class="halves">
        <TopServers servers={list} />
        <Endpoints endpoints={endpoints.answer?.items ?? []} />
      </div>
    </>
  );
}
