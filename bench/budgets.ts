// The budgets of ARCHITECTURE.md, each with what a run measured: met, not met, or not measured.
// Called by run.ts at the end of a run and by tests. Promises: pure; every budget is a row, whatever has run; where several figures belong to one
// budget, the worst of them counts.
import { type BenchResult, checksumOf, figureOf, formatFigure } from './report.ts';

type Results = Readonly<Record<string, BenchResult>>;

/** One budget. */
interface Budget {
  readonly what: string;
  /** `≤ 1.3 ×`, as people read it. */
  readonly now: string;
  readonly aim: string;
  /** The figure, or null when this run does not have it. */
  read(results: Results): number | null;
  readonly isMet: (value: number) => boolean;
  readonly isAimMet: (value: number) => boolean;
  readonly unit: string;
  /** The bench that measures it, or why none does. */
  readonly otherwise: string;
}

/** Benches that the budgets need. */
export const BUDGET_BENCHES: readonly string[] = [
  'scan',
  'route',
  'pool',
  'cells',
  'routed',
  'peers',
  'sessions',
  'startup',
];

function atMost(now: number, aim: number, unit: string): Omit<Budget, 'what' | 'read' | 'otherwise'> {
  return {
    now: `≤ ${now} ${unit}`,
    aim: `≤ ${aim} ${unit}`,
    isMet: (value) => value <= now,
    isAimMet: (value) => value <= aim,
    unit,
  };
}

function atLeast(now: number, aim: number, unit: string): Omit<Budget, 'what' | 'read' | 'otherwise'> {
  return {
    now: `≥ ${now} ${unit}`,
    aim: `≥ ${aim} ${unit}`,
    isMet: (value) => value >= now,
    isAimMet: (value) => value >= aim,
    unit,
  };
}

function bench(name: string): string {
  return `not measured in this run (bench ${name})`;
}

function least(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : Math.min(...known);
}

/** The worst parseOverAddon among messages of a size. */
function scanRatio(size: RegExp): (results: Results) => number | null {
  return ({ scan }) =>
    least(
      (scan?.rows ?? [])
        .filter((row) => size.test(row.name))
        .map((row) => figureOf(scan, row.name, 'parseOverAddon')),
    );
}

const NPM = ['mcp-proxy', 'supergateway'];
const COMPILED = ['mcp-proxy (Rust)', 'vMCP (ToolHive)'];
const SHARED_SCENARIOS = ['call, modern, c=16', 'call, legacy, c=16'];

/** Our calls a second over those of the fastest of some, before the same upstream: the worst over scenarios and upstreams. */
function throughputOver(rivals: readonly string[]): (results: Results) => number | null {
  return (results) =>
    least(
      ['peers-http', 'peers-stdio'].flatMap((name) =>
        SHARED_SCENARIOS.map((scenario) => {
          const perSecond = (who: string): number | null =>
            figureOf(results[name], `${scenario}: ${who}`, 'calls/s');
          const theirs = rivals.map(perSecond).filter((value) => value !== null && value > 0);
          const ours = perSecond('sluice');
          return ours === null || theirs.length === 0 ? null : ours / Math.max(...theirs.map(Number));
        }),
      ),
    );
}

/** A figure of the first row that has it. */
function anyFigure(result: BenchResult | undefined, rows: RegExp, figure: RegExp): number | null {
  for (const row of result?.rows ?? []) {
    if (!rows.test(row.name)) continue;
    const found = Object.entries(row.figures).find(
      ([name, value]) => figure.test(name) && typeof value === 'number',
    );
    if (found !== undefined) return Number(found[1]);
  }
  return null;
}

function worstRow(result: BenchResult | undefined, figure: string): number | null {
  const known = (result?.rows ?? [])
    .map((row) => figureOf(result, row.name, figure))
    .filter((value) => value !== null);
  return known.length === 0 ? null : Math.max(...known);
}

const ROUTE_FIGURE = 'scanAndNameNs';
/** The bench goes further than the budget. */
const NAMES_MAX = 10_000;

/** The rows of `route` that the budgets are about, named `1000 names`. */
function routeRows(route: BenchResult | undefined): BenchResult | undefined {
  if (route === undefined) return undefined;
  return { ...route, rows: route.rows.filter(({ name }) => Number.parseInt(name, 10) <= NAMES_MAX) };
}

const BUDGETS: readonly Budget[] = [
  {
    what: 'CPU of a routed call, HTTP to HTTP, against nginx proxying blindly',
    ...atMost(1.3, 1, '×'),
    read: ({ routed }) => figureOf(routed, 'sluice / nginx', 'CPU µs/call'),
    otherwise: bench('routed'),
  },
  {
    what: 'added p50 at one connection, against nginx',
    ...atMost(1.3, 1, '×'),
    read: ({ routed }) => figureOf(routed, 'sluice / nginx', 'added p50 µs, c=1'),
    otherwise: bench('routed'),
  },
  {
    what: 'throughput against the fastest gateway from npm, same upstream',
    ...atLeast(5, 5, '×'),
    read: throughputOver(NPM),
    otherwise: bench('peers'),
  },
  {
    what: 'throughput against the fastest compiled gateway, same upstream',
    ...atLeast(1, 2, '×'),
    read: throughputOver(COMPILED),
    otherwise: bench('peers'),
  },
  {
    what: 'full policy stack on (auth, CEL, rate, breaker, metrics, cache)',
    ...atMost(5, 2, 'µs CPU more'),
    read: () => null,
    otherwise: 'not built yet (issues 5 and 6 bring the policies)',
  },
  {
    what: 'scan against JSON.parse, 150 B',
    ...atLeast(2.5, 4, '×'),
    read: scanRatio(/ \d+ B$/),
    otherwise: bench('scan'),
  },
  {
    what: 'scan against JSON.parse, 10 KB (worst shape)',
    ...atLeast(8, 12, '×'),
    read: scanRatio(/ 10 KB$/),
    otherwise: bench('scan'),
  },
  {
    what: 'scan against JSON.parse, 1 MB (worst shape)',
    ...atLeast(8, 12, '×'),
    read: scanRatio(/ 1 MB$/),
    otherwise: bench('scan'),
  },
  {
    what: 'route one message (scan and look-up), 10,000 names',
    ...atMost(400, 200, 'ns'),
    read: ({ route }) => worstRow(routeRows(route), ROUTE_FIGURE),
    otherwise: bench('route'),
  },
  {
    what: 'pool slot, get and return, most connections',
    ...atMost(80, 40, 'ns'),
    read: ({ pool }) => worstRow(pool, 'getAndReturnNs'),
    otherwise: bench('pool'),
  },
  {
    what: 'breaker check',
    ...atMost(60, 30, 'ns'),
    read: ({ cells }) => anyFigure(cells, /breaker/i, /ns$/i),
    otherwise: bench('cells'),
  },
  {
    what: 'counter bump',
    ...atMost(10, 5, 'ns'),
    read: ({ cells, counters }) => anyFigure(counters ?? cells, /counter/i, /ns$/i),
    otherwise: bench('cells'),
  },
  {
    what: 'allocations on the hot path that grow with the body',
    ...atMost(0, 0, ''),
    read: () => null,
    otherwise: 'by heap profile: docs/performance.md',
  },
  {
    what: 'ready after start',
    ...atMost(120, 60, 'ms'),
    read: ({ startup }) => figureOf(startup, 'sluice, http', 'listening ms'),
    otherwise: bench('startup'),
  },
  {
    what: 'drained stop when idle',
    ...atMost(100, 30, 'ms'),
    read: ({ startup }) => figureOf(startup, 'sluice, http', 'drained ms'),
    otherwise: bench('startup'),
  },
  {
    what: 'recovery after an upstream returns',
    ...atMost(100, 50, 'ms'),
    read: ({ startup }) => figureOf(startup, 'sluice, upstream back again', 'recovered ms'),
    otherwise: bench('startup'),
  },
  {
    what: 'memory: idle gateway, one worker',
    ...atMost(60, 45, 'MB'),
    read: ({ startup }) => figureOf(startup, 'sluice, http', 'RSS idle MB'),
    otherwise: bench('startup'),
  },
  {
    what: 'memory: each idle session with an open stream',
    ...atMost(10, 5, 'KB'),
    read: ({ sessions }) => lastSlope(sessions, 'sluice, its own session'),
    otherwise: bench('sessions'),
  },
  {
    what: 'cost of routing with 10 and with 10,000 registered names',
    ...atMost(10, 0, '% more'),
    read: ({ route }) => growth(routeRows(route)),
    otherwise: bench('route'),
  },
];

/** KB a session between the last two steps. */
function lastSlope(sessions: BenchResult | undefined, name: string): number | null {
  const row = sessions?.rows.find((one) => one.name === name);
  const last = Object.entries(row?.figures ?? {})
    .filter(([figure]) => figure.startsWith('KB a session'))
    .at(-1)?.[1];
  return typeof last === 'number' && Number.isFinite(last) ? last : null;
}

/** How much more the dearest row of `route` costs than the first, in %. */
function growth(route: BenchResult | undefined): number | null {
  const first = route?.rows[0];
  const base = first === undefined ? null : figureOf(route, first.name, ROUTE_FIGURE);
  // The budget ends at 10 000 names; a million of them do not fit in a cache.
  const within = route && { ...route, rows: route.rows.filter(({ name }) => name !== '1000000 names') };
  const worst = worstRow(within, ROUTE_FIGURE);
  if (base === null || worst === null || (route?.rows.length ?? 0) < 2) return null;
  return 100 * (worst / base - 1);
}

/** The table, from what a run has. */
export function budgetsOf(results: Results): BenchResult {
  const rows = BUDGETS.map((budget) => {
    const value = budget.read(results);
    const verdict = (isMet: (value: number) => boolean): string =>
      value === null ? '-' : isMet(value) ? 'met' : 'not met';
    return {
      name: budget.what,
      figures: {
        budget: budget.now,
        measured: value === null ? budget.otherwise : `${formatFigure(value)} ${budget.unit}`,
        verdict: verdict(budget.isMet),
        aim: budget.aim,
        'aim met': verdict(budget.isAimMet),
      },
    };
  });
  return {
    title: 'budgets',
    method: 'of ARCHITECTURE.md; ratios are taken within one run, side by side',
    rows,
    checksum: checksumOf(BUDGETS.map((budget) => budget.what).join()),
  };
}
