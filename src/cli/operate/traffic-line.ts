// One exchange as a line for people.
// Called by tail.ts. Promises: pure; what clients and servers wrote cannot steer the terminal.
import type { z } from '@hono/zod-openapi';
import type { Exchange } from '../../control/admin/schemas.ts';
import type { Paint } from '../paint.ts';
import { bytesText, cell, msText } from './table.ts';

/** When (UTC), how it ended, what it was, where it went, how long it took and where that time went. */
export function exchangeLine(exchange: z.output<typeof Exchange>, paint: Paint): string {
  const { at, outcome, status, method, name, endpoint, server, durationMs, errorCode } = exchange;
  const colour = outcome === 'ok' ? paint.good : outcome === 'failed' ? paint.bad : paint.warn;
  const what = name === '' ? method : `${method} ${name}`;
  const parts = [
    paint.dim(at.slice(11)),
    colour(`${outcome.padEnd(9)} ${status === 0 ? '---' : status}`),
    cell(what === '' ? '(no message)' : what, 60).padEnd(28),
    `${cell(endpoint, 60)}${server === null ? '' : ` > ${paint.accent(cell(server, 60))}`}`,
    msText(durationMs),
    paint.dim(phasesText(exchange)),
    paint.dim(`${bytesText(exchange.requestBytes)} > ${bytesText(exchange.replyBytes)}`),
    ...(exchange.isCached ? ['kept answer'] : []),
    ...(exchange.sends > 1 ? [paint.warn(`sent ${exchange.sends} times`)] : []),
    ...(errorCode === null ? [] : [paint.bad(errorCode)]),
  ];
  return parts.filter((part) => part !== '').join('  ');
}

/** Where the time went: parts that are too short to matter are left out. */
function phasesText({ phases, durationMs }: z.output<typeof Exchange>): string {
  if (phases === null) return '';
  const { gatewayMs, queueMs, connectMs, upstreamMs } = phases;
  const parts = [
    ['gateway', gatewayMs],
    ['queue', queueMs],
    ['connect', connectMs],
    ['upstream', upstreamMs],
  ] as const;
  const shown = parts.filter(([, ms]) => ms >= Math.max(0.01, durationMs / 100));
  return shown.length === 0 ? '' : `(${shown.map(([name, ms]) => `${name} ${msText(ms)}`).join(', ')})`;
}
