// Exchanges as they end: filter them, hold them still, open one.
// Called by app.tsx. Promises: newest first; what is held still stays so, and says how many came since; a filter asks the journal too, not only what is on the page.
import { useEffect, useRef, useState } from 'preact/hooks';
import { ask, pathOf } from '../api/client.ts';
import type { Exchange } from '../api/types.ts';
import { news } from '../live.ts';
import { clockTime, duration, plural } from '../model/format.ts';
import { hrefOf } from '../model/route.ts';
import { isShown, joined, NO_FILTER, type TrafficFilter, valuesOf } from '../model/traffic.ts';
import { walk } from '../parts/arrows.ts';
import { Icon } from '../parts/icon.tsx';
import { Empty, FaultLine } from '../parts/notice.tsx';
import { PageHead, Search } from '../parts/page-head.tsx';
import { StateMark } from '../parts/state-mark.tsx';
import { useLoaded, useStore } from '../store.ts';
import { ExchangeWindow } from './exchange.tsx';

const LIMIT = '200';
const OUTCOMES = ['ok', 'refused', 'failed', 'abandoned'];

interface PickProps {
  readonly label: string;
  readonly value: string;
  readonly values: readonly string[];
  readonly onPick: (value: string) => void;
}

function Pick({ label, value, values, onPick }: PickProps) {
  const all = value === '' || values.includes(value) ? values : [value, ...values];
  return (
    <label class="inline">
      {label}
      <select value={value} onChange={(event) => onPick(event.currentTarget.value)}>
        <option value="">all</option>
        {all.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}

interface FilterProps {
  readonly filter: TrafficFilter;
  readonly seen: readonly Exchange[];
  readonly onChange: (filter: TrafficFilter) => void;
}

function Filters({ filter, seen, onChange }: FilterProps) {
  const set = (part: Partial<TrafficFilter>): void => onChange({ ...filter, ...part });
  return (
    <search class="filters" aria-label="Filter">
      <Search label="Search the traffic" value={filter.search} onInput={(search) => set({ search })} />
      <Pick
        label="Server"
        value={filter.server}
        values={valuesOf(seen, (one) => one.server)}
        onPick={(server) => set({ server })}
      />
      <Pick
        label="Endpoint"
        value={filter.endpoint}
        values={valuesOf(seen, (one) => one.endpoint)}
        onPick={(endpoint) => set({ endpoint })}
      />
      <Pick
        label="Method"
        value={filter.method}
        values={valuesOf(seen, (one) => one.method)}
        onPick={(method) => set({ method })}
      />
      <Pick label="Outcome" value={filter.outcome} values={OUTCOMES} onPick={(outcome) => set({ outcome })} />
    </search>
  );
}

function Row({ exchange }: { readonly exchange: Exchange }) {
  return (
    <tr>
      <td class="time" data-label="At">
        {clockTime(exchange.at)}
      </td>
      <th scope="row">
        <a href={hrefOf('traffic', exchange.key)}>
          {exchange.method === '' ? 'no method' : exchange.method} <b>{exchange.name}</b>
        </a>
      </th>
      <td data-label="Server">{exchange.server ?? '–'}</td>
      <td data-label="Endpoint">{exchange.endpoint}</td>
      <td data-label="Outcome">
        <StateMark state={exchange.outcome} />
        {exchange.errorCode === null ? null : <code class="dim"> {exchange.errorCode}</code>}
      </td>
      <td data-label="Status" class="number">
        {exchange.status === 0 ? '–' : exchange.status}
      </td>
      <td data-label="Took" class="number">
        {duration(exchange.durationMs)}
      </td>
    </tr>
  );
}

const HEADS = ['At', 'What', 'Server', 'Endpoint', 'Outcome', 'Status', 'Took'];

function Rows({ list }: { readonly list: readonly Exchange[] }) {
  return (
    <div class="card flush">
      <table class="table cards dense" onKeyDown={(event) => walk(event, 'th a')}>
        <thead>
          <tr>
            {HEADS.map((head, at) => (
              <th key={head} scope="col" class={at > 4 ? 'number' : ''}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {list.map((exchange) => (
            <Row key={exchange.key} exchange={exchange} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The list that the filter lets through, fed by the journal and by the stream; `held` keeps it as it is. */
function useTraffic(filter: TrafficFilter, isHeld: boolean) {
  const loaded = useLoaded(
    (signal) =>
      ask<{ items: readonly Exchange[] }>(pathOf(['traffic'], { ...filter, limit: LIMIT }), { signal }),
    { on: Object.values(filter) },
  );
  const stream = useStore(news);
  const seen = joined(loaded.answer?.items ?? [], stream);
  const live = seen.filter((exchange) => isShown(exchange, filter));
  const held = useRef<{ readonly answer: unknown; readonly list: readonly Exchange[] } | null>(null);
  if (!isHeld) held.current = null;
  // another filter brings another answer, which is held in its turn
  else if (held.current?.answer !== loaded.answer) held.current = { answer: loaded.answer, list: live };
  const list = held.current?.list ?? live;
  const since = Math.max(
    0,
    live.findIndex((exchange) => exchange.key === list[0]?.key),
  );
  return { list, since, loaded, seen };
}

/** `p` holds the list still and lets it go, unless somebody types. */
function usePauseKey(toggle: () => void): void {
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      const isTyping =
        event.target instanceof HTMLElement && /^(?:INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
      if (event.key === 'p' && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) toggle();
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, [toggle]);
}

/** The view. `openKey` names the exchange that is looked at. */
export function Traffic({ openKey }: { readonly openKey: string | null }) {
  const [filter, setFilter] = useState<TrafficFilter>(NO_FILTER);
  const [isHeld, setHeld] = useState(false);
  const [toggle] = useState(() => () => setHeld((before) => !before));
  usePauseKey(toggle);
  const { list, since, loaded, seen } = useTraffic(filter, isHeld);
  return (
    <>
      <PageHead
        title="Live traffic"
        about={isHeld ? `Held still; ${plural(since, 'exchange')} since` : plural(list.length, 'exchange')}
      >
        <button type="button" aria-pressed={isHeld} onClick={toggle}>
          <Icon name={isHeld ? 'play' : 'pause'} />
          {isHeld ? 'Go on' : 'Pause'}
        </button>
      </PageHead>
      <Filters filter={filter} seen={seen} onChange={setFilter} />
      <FaultLine fault={loaded.fault} />
      {list.length > 0 ? <Rows list={list} /> : null}
      {loaded.answer !== null && list.length === 0 ? (
        <Empty
          words="No exchanges to show."
          more="They appear here when clients use the gateway, or when you try a tool."
        />
      ) : null}
      {openKey === null ? null : (
        <ExchangeWindow
          id={openKey}
          known={seen.find((exchange) => exchange.key === openKey) ?? null}
          onClose={() => {
            location.hash = hrefOf('traffic');
          }}
        />
      )}
    </>
  );
}
