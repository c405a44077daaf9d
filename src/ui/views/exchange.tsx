// One exchange: what was asked, how it ended, where its time went, and the same request for curl.
// Called by views/traffic.tsx. Promises: one that the journal no longer has says so; what was cut says so.
import { ask, pathOf } from '../api/client.ts';
import type { Exchange, Status } from '../api/types.ts';
import { curlOfExchange } from '../model/curl.ts';
import { bytes, dayTime, duration, plural } from '../model/format.ts';
import { hrefOf } from '../model/route.ts';
import { Code } from '../parts/code.tsx';
import { CopyButton } from '../parts/copy-button.tsx';
import { Dialog } from '../parts/dialog.tsx';
import { FaultLine } from '../parts/notice.tsx';
import { PhasesBar } from '../parts/phases-bar.tsx';
import { StateMark } from '../parts/state-mark.tsx';
import { useLoaded } from '../store.ts';

/** What the window is given. */
export interface ExchangeWindowProps {
  /** Its key in the journal. */
  readonly id: string;
  /** As the list has it; null when it must be asked for. */
  readonly known: Exchange | null;
  readonly onClose: () => void;
}

/** JSON with its lines, as far as it is whole. */
function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function Facts({ exchange }: { readonly exchange: Exchange }) {
  const facts: readonly (readonly [string, string])[] = [
    ['At', dayTime(exchange.at)],
    ['Endpoint', exchange.endpoint],
    ['Method', exchange.method],
    ['Name', exchange.name],
    ['Id', exchange.id],
    ['Status', exchange.status === 0 ? '–' : String(exchange.status)],
    ['Error', exchange.errorCode ?? '–'],
    ['Took', duration(exchange.durationMs)],
    ['Request', bytes(exchange.requestBytes)],
    ['Reply', bytes(exchange.replyBytes)],
    ['Worker', String(exchange.worker)],
    ['Sent to the server', exchange.isCached ? 'not at all: from the cache' : plural(exchange.sends, 'time')],
    ['Trace', exchange.trace ?? '–'],
  ];
  return (
    <dl class="facts">
      <div>
        <dt>Server</dt>
        <dd>
          {exchange.server === null ? (
            '–'
          ) : (
            <a href={hrefOf('servers', exchange.server)}>{exchange.server}</a>
          )}
        </dd>
      </div>
      {facts.map(([words, value]) => (
        <div key={words}>
          <dt>{words}</dt>
          <dd>{value === '' ? '–' : value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Body({ exchange }: { readonly exchange: Exchange }) {
  const status = useLoaded((signal) => ask<Status>('/status', { signal }), { on: [] });
  const size = exchange.requestBytes;
  const isCut = new TextEncoder().encode(exchange.request).length < size;
  return (
    <div class="dialog-body">
      <p class="row">
        <StateMark state={exchange.outcome} />
        <CopyButton label="Copy for curl" text={() => curlOfExchange(exchange, status.answer?.url ?? '')} />
      </p>
      <h3>Time</h3>
      {exchange.phases === null ? (
        <p class="muted">{duration(exchange.durationMs)} in all; it was not told apart.</p>
      ) : (
        <PhasesBar phases={exchange.phases} />
      )}
      <h3>Request</h3>
      <Code text={pretty(exchange.request)} label="Request" />
      {isCut ? <p class="muted">The journal keeps the beginning: {bytes(size)} were sent.</p> : null}
      <Facts exchange={exchange} />
    </div>
  );
}

/** The window. */
export function ExchangeWindow({ id, known, onClose }: ExchangeWindowProps) {
  const { answer, fault } = useLoaded(
    (signal) =>
      known === null ? ask<Exchange>(pathOf(['traffic', id]), { signal }) : Promise.resolve(known),
    { on: [id] },
  );
  const exchange = known ?? answer;
  const title = exchange === null ? 'Exchange' : `${exchange.method} ${exchange.name}`.trim();
  return (
    <Dialog title={title === '' ? 'Exchange' : title} onClose={onClose} isSide>
      <FaultLine fault={exchange === null ? fault : null} />
      {exchange === null ? null : <Body exchange={exchange} />}
    </Dialog>
  );
}
