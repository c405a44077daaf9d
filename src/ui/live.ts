// What the gateway tells by itself: the overview each second, exchanges as they end, servers and audit entries as they change.
// Called by app.tsx (opens it once somebody is logged in) and views. Promises: one stream for the whole page; it is opened again when it breaks; what is kept is bounded.
import { ask } from './api/client.ts';
import type { AuditEvent, Exchange, OverviewPoint } from './api/types.ts';
import { addPoint } from './model/series.ts';
import { joined } from './model/traffic.ts';
import { createStore } from './store.ts';

/** How the stream is. */
export type LiveState = 'opening' | 'live' | 'lost';

const AGAIN_MS = 2000;

/** State of the stream. */
export const liveState = createStore<LiveState>('opening');
/** The overview of the last half hour at most, as long as the page is open. */
export const points = createStore<readonly OverviewPoint[]>([]);
/** The last exchanges that were told of, newest first. */
export const news = createStore<readonly Exchange[]>([]);
/** Grows with every change of servers: views that show them ask again. */
export const serversTurn = createStore(0);
/** Grows with every entry of the audit. */
export const auditTurn = createStore(0);

function read<Data>(event: Event): Data | null {
  // the stream only has events with data
  const { data } = event as MessageEvent<string>;
  try {
    // the shape is what the API promises for this event
    return JSON.parse(data) as Data;
  } catch {
    return null;
  }
}

function listen(source: EventSource): void {
  source.addEventListener('overview', (event) => {
    const point = read<OverviewPoint>(event);
    if (point !== null) points.set(addPoint(points.get(), point));
  });
  source.addEventListener('traffic', (event) => {
    const items = read<{ items: readonly Exchange[] }>(event)?.items ?? [];
    if (items.length > 0) news.set(joined(news.get(), items));
  });
  source.addEventListener('servers', () => serversTurn.set(serversTurn.get() + 1));
  source.addEventListener('audit', (event) => {
    if (read<{ item: AuditEvent }>(event) !== null) auditTurn.set(auditTurn.get() + 1);
  });
}

/** Opens the stream and keeps it open; returns what closes it. */
export function openLive(): () => void {
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isOver = false;
  const open = (): void => {
    source = new EventSource('/api/v1/events');
    source.onopen = () => {
      if (liveState.get() === 'lost') serversTurn.set(serversTurn.get() + 1);
      liveState.set('live');
    };
    source.onerror = () => {
      // The browser's own second try does not come after a refusal, and comes too late after a restart.
      source?.close();
      liveState.set('lost');
      // The stream does not say why: a question that is refused tells that the login is over.
      ask('/status').catch(() => undefined);
      if (!isOver) timer = setTimeout(open, AGAIN_MS);
    };
    listen(source);
  };
  open();
  return () => {
    isOver = true;
    clearTimeout(timer);
    source?.close();
  };
}
