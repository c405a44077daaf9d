// The servers of a gateway, and plans, in words.
// Called by servers.ts and top-view.ts. Promises: pure; what a server or its settings hold cannot steer the terminal.
import type { z } from '@hono/zod-openapi';
import type { Plan, Server } from '../../control/admin/schemas.ts';
import { planRows } from '../../control/plan.ts';
import { PLAN_WORDS } from '../check.ts';
import type { Paint } from '../paint.ts';
import { cell, table } from './table.ts';

type ServerView = z.output<typeof Server>;

/** One line a server, and below them why some are not served. */
export function serverTable(servers: readonly ServerView[], paint: Paint): string {
  if (servers.length === 0) return 'no servers; `sluice servers add --help` shows how to add one\n';
  const head = ['NAME', 'STATE', 'ERA', 'KIND', 'FROM', ' CALLS', ' FAILED', 'BREAKER', 'WHERE'];
  const rows = servers.map((server) => [
    paint.accent(cell(server.name)),
    stateText(server, paint),
    server.era === 'unknown' ? '-' : server.era,
    server.transport,
    server.isShadowed ? 'registry (hidden)' : server.origin,
    String(server.counts.exchanges),
    String(server.counts.failed),
    breakerText(server),
    cell(whereText(server), 60),
  ]);
  const notes = servers.flatMap(({ name, problem, isShadowed }) => [
    ...(problem === null ? [] : [`${cell(name)} is not served: ${cell(problem)}`]),
    ...(isShadowed ? [`${cell(name)} of the registry is hidden by the one of the configuration file`] : []),
  ]);
  const lines = [...table(head, rows), ...(notes.length === 0 ? [] : ['', ...notes])];
  return lines.map((line) => `${line}\n`).join('');
}

/** What a server does, set off when something is wrong. */
export function stateText({ state, problem }: ServerView, paint: Paint): string {
  if (problem !== null) return paint.bad('refused');
  if (state === 'failing') return paint.bad(state);
  return state === 'serving' ? paint.good(state) : paint.dim(state);
}

/** The state of its breakers: the worst, how many of several places have it, and whether somebody forced it. */
export function breakerText({ replicas }: Pick<ServerView, 'replicas'>): string {
  const breakers = replicas.map(({ breaker }) => breaker);
  for (const state of ['open', 'half-open'] as const) {
    const such = breakers.filter((breaker) => breaker.state === state);
    if (such.length === 0) continue;
    const count = breakers.length === 1 ? '' : `${such.length}/${breakers.length} `;
    return `${count}${state}${such.some(({ isForced }) => isForced) ? ' (tripped)' : ''}`;
  }
  return breakers.length === 0 ? '-' : 'closed';
}

function whereText({ replicas, settings, endpoint }: ServerView): string {
  const [first] = replicas;
  if (first === undefined) return String(settings.url ?? settings.command ?? endpoint);
  return replicas.length === 1 ? first.address : `${first.address} and ${replicas.length - 1} more`;
}

/** What a change does, one thing a line; `title` stands above them. */
export function planText(plan: z.output<typeof Plan>, paint: Paint, title = ''): string {
  const rows = planRows(plan).map(
    ([what, whom]) => `  ${PLAN_WORDS[what] ?? what}: ${paint.accent(cell(whom.join(', '), 2_000))}`,
  );
  const notes = plan.notes.map((note) => `  note: ${cell(note, 2_000)}`);
  const lines = rows.length === 0 ? ['  what is served stays as it is', ...notes] : [...rows, ...notes];
  return [...(title === '' ? [] : [title]), ...lines].map((line) => `${line}\n`).join('');
}
