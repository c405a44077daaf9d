// The list of exchanges that the traffic view shows: what a filter lets through, and how news joins it.
// Called by views/traffic.tsx. Promises: newest first, none twice, bounded; the same rules as GET /traffic, so that a live list and a fresh one agree.
import type { Exchange } from '../api/types.ts';

/** What to show; '' lets everything through. */
export interface TrafficFilter {
  readonly endpoint: string;
  readonly server: string;
  readonly method: string;
  readonly outcome: string;
  readonly search: string;
}

/** Lets everything through. */
export const NO_FILTER: TrafficFilter = { endpoint: '', server: '', method: '', outcome: '', search: '' };

/** Rows that are kept on the page. */
const ROWS_MAX = 300;

/** True when a filter lets an exchange through. */
export function isShown(exchange: Exchange, filter: TrafficFilter): boolean {
  const { endpoint, server, method, outcome, search } = filter;
  if (endpoint !== '' && exchange.endpoint !== endpoint) return false;
  if (server !== '' && exchange.server !== server) return false;
  if (method !== '' && exchange.method !== method) return false;
  if (outcome !== '' && exchange.outcome !== outcome) return false;
  if (search === '') return true;
  const texts = [
    exchange.method,
    exchange.name,
    exchange.server ?? '',
    exchange.errorCode ?? '',
    exchange.request,
  ];
  return texts.some((text) => text.toLowerCase().includes(search.toLowerCase()));
}

/** When it ended: the journals are in that order. */
function endMs(exchange: Exchange): number {
  return Date.parse(exchange.at) + exchange.durationMs;
}

/** A list with what is new at its head. */
export function joined(list: readonly Exchange[], news: readonly Exchange[]): readonly Exchange[] {
  const known = new Set(list.map((exchange) => exchange.key));
  const fresh = news.filter((exchange) => !known.has(exchange.key));
  if (fresh.length === 0) return list;
  return [...fresh, ...list].sort((one, other) => endMs(other) - endMs(one)).slice(0, ROWS_MAX);
}

/** The different values of a figure in a list, sorted, for a menu. */
export function valuesOf(list: readonly Exchange[], figure: (exchange: Exchange) => string | null): string[] {
  const found = new Set(list.map(figure).filter((value): value is string => value !== null && value !== ''));
  return [...found].sort();
}
