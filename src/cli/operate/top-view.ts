// What `sluice top` shows, as lines.
// Called by top.ts. Promises: pure; the busiest servers come first, those with trouble before those without; never more lines than there is room for.
import type { z } from '@hono/zod-openapi';
import type { Overview, Server, Status } from '../../control/admin/schemas.ts';
import type { Paint } from '../paint.ts';
import { breakerText, stateText } from './server-text.ts';
import { bytesText, cell, msText, rateText, spanText, table, widthOf } from './table.ts';

/** One server, and how many exchanges went to it lately. */
export interface ServerRow {
  readonly server: z.output<typeof Server>;
  readonly perSecond: number;
}

/** Everything that is known at a moment; null: not yet. */
export interface Look {
  readonly url: string;
  readonly status: z.output<typeof Status> | null;
  readonly overview: z.output<typeof Overview> | null;
  readonly servers: readonly ServerRow[];
  /** How many servers there are in all. */
  readonly total: number;
  /** What keeps figures from coming; '' for nothing. */
  readonly trouble: string;
}

/** Room that there is, in characters. */
export interface Room {
  readonly columns: number;
  readonly rows: number;
}

/** The lines, as many as there is room for; only the heads are made to fit its width. */
export function topLines(look: Look, paint: Paint, { columns, rows }: Room): string[] {
  const head = [
    ...wrapped(headline(look, paint), ' · ', columns),
    ...wrapped(figures(look, paint), '   ', columns),
    ...(look.trouble === '' ? [] : [paint.bad(cell(look.trouble))]),
    '',
  ];
  const rest = Math.max(1, rows - head.length);
  return [...head, ...serverLines(look, paint, rest)].slice(0, rows);
}

/** Parts on as many lines as they need. */
function wrapped(parts: readonly string[], between: string, columns: number): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const longer = `${lines.at(-1) ?? ''}${between}${part}`;
    if (lines.length > 0 && widthOf(longer) <= columns) lines[lines.length - 1] = longer;
    else lines.push(part);
  }
  return lines;
}

function headline({ url, status }: Look, paint: Paint): string[] {
  const version = status === null ? '' : ` ${cell(status.version)}`;
  const name = `${paint.bold('sluice')}${version} at ${paint.accent(url)}`;
  if (status === null) return [name];
  const ready = status.isDraining
    ? paint.warn('draining')
    : status.isReady
      ? 'ready'
      : paint.bad('not ready');
  const failed = status.readiness.filter(({ ok }) => !ok).map(({ check }) => check);
  return [
    name,
    failed.length === 0 ? ready : `${ready} (${cell(failed.join(', '))})`,
    `up ${spanText(status.uptimeMs)}`,
    `pid ${status.pid}`,
    status.runtime,
    `${status.scanner.name} ${status.scanner.kernel}`,
    `registry ${status.registry.state}`,
  ];
}

function figures({ overview }: Look, paint: Paint): string[] {
  if (overview === null) return ['waiting for figures …'];
  const { errorsPerSecond, workers } = overview;
  const errors = rateText(errorsPerSecond);
  const down = workers.filter(({ state }) => state !== 'serving').length;
  const pairs = [
    ['calls/s', rateText(overview.exchangesPerSecond)],
    ['errors/s', errorsPerSecond > 0 ? paint.bad(errors) : errors],
    ['p50', msText(overview.p50Ms)],
    ['p99', msText(overview.p99Ms)],
    ['active', String(overview.activeExchanges)],
    ['cpu', `${overview.cpuPercent.toFixed(0)} %`],
    ['memory', bytesText(overview.rssBytes)],
    ['sessions', String(overview.sessions)],
    [
      'workers',
      down === 0 ? String(workers.length) : paint.bad(`${workers.length - down}/${workers.length}`),
    ],
  ];
  return pairs.map(([name = '', value = '']) => `${paint.dim(name)} ${paint.bold(value)}`);
}

const HEAD = [
  'SERVER',
  'STATE',
  'ERA',
  'KIND',
  ' POOL',
  'BREAKER',
  ' CALLS/S',
  ' CALLS',
  ' FAILED',
  ' SESSIONS',
];

function serverLines({ servers, total }: Look, paint: Paint, room: number): string[] {
  if (total === 0) return ['no servers'];
  const sorted = [...servers].sort(
    (a, b) =>
      Number(hasTrouble(b)) - Number(hasTrouble(a)) ||
      b.perSecond - a.perSecond ||
      b.server.counts.exchanges - a.server.counts.exchanges,
  );
  // One line for the heads, and one for what is left out.
  const shown = sorted.slice(0, total + 1 > room ? Math.max(0, room - 2) : total);
  const lines = table(
    HEAD,
    shown.map((row) => serverCells(row, paint)),
  );
  const [heads = '', ...rest] = lines;
  const left = total - shown.length;
  return [
    paint.bold(heads),
    ...rest,
    ...(left > 0 ? [paint.dim(`and ${left} more: \`sluice servers\``)] : []),
  ];
}

function hasTrouble({ server }: ServerRow): boolean {
  return server.problem !== null || server.state === 'failing' || breakerIsOpen(server);
}

function breakerIsOpen({ replicas }: z.output<typeof Server>): boolean {
  return replicas.some(({ breaker }) => breaker.state === 'open');
}

function serverCells({ server, perSecond }: ServerRow, paint: Paint): string[] {
  const breaker = breakerText(server);
  return [
    paint.accent(cell(server.name, 40)),
    stateText(server, paint),
    server.era === 'unknown' ? '-' : server.era,
    server.transport,
    poolText(server),
    breakerIsOpen(server) ? paint.bad(breaker) : breaker,
    rateText(perSecond),
    String(server.counts.exchanges),
    server.counts.failed > 0 ? paint.warn(String(server.counts.failed)) : '0',
    String(server.sessions),
  ];
}

/** Busy of all connections or processes, and how many exchanges wait for one. */
function poolText({ replicas, children, transport }: z.output<typeof Server>): string {
  const sum = (of: (pool: z.output<typeof Server>['replicas'][number]['pool']) => number): number =>
    replicas.reduce((total, { pool }) => total + of(pool), 0);
  const total = Math.max(
    sum((pool) => pool.total),
    transport === 'stdio' ? children.length : 0,
  );
  const waiting = sum((pool) => pool.waiting);
  return `${sum((pool) => pool.busy)}/${total}${waiting > 0 ? ` +${waiting}` : ''}`;
}
