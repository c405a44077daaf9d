// The "Rust MCP Performance Report" row by row: its figure, ours, and what one would use instead, from whatever benches have run.
// Called by run.ts at the end of a run and by tests. Promises: pure; a row that nothing measured says why: a bench that was left out, or a
// part that is not built yet; figures of the report are never shown as ours.
import { type BenchResult, type BenchRow, checksumOf, figureOf, formatFigure } from './report.ts';

type Results = Readonly<Record<string, BenchResult>>;

/** Our side of a row. */
interface Measured {
  readonly ours: string;
  readonly alternative?: string;
}

/** One row of the report. */
interface Target {
  readonly capability: string;
  readonly report: string;
  /** Ours, or null when this run does not know. */
  read(results: Results): Measured | null;
  /** Shown when it is not known: the bench to run, or the issue that brings the part. */
  readonly otherwise: string;
}

/** What a bench says of itself beside the report, found by its words. */
function published(words: RegExp, alternative?: (results: Results) => string | null): Target['read'] {
  return (results) => {
    const found = Object.values(results)
      .flatMap((result) => result.published ?? [])
      .filter(({ what }) => words.test(what));
    if (found.length === 0) return null;
    const others = found.flatMap((one) => (one.alternative === undefined ? [] : [one.alternative]));
    const beside = others.length > 0 ? others.join('; ') : alternative?.(results);
    const ours = found.map((one) => one.ours).join('; ');
    return { ours, ...(beside !== undefined && beside !== null && { alternative: beside }) };
  };
}

/** Figures of several rows as one text; null when a result is not there. */
function figures(result: BenchResult | undefined, rows: RegExp, figure: string, unit: string): string | null {
  const found = (result?.rows ?? []).filter(
    (row) => rows.test(row.name) && row.figures[figure] !== undefined,
  );
  if (found.length === 0) return null;
  return `${found.map((row) => `${row.name} ${formatFigure(row.figures[figure])}`).join(', ')}${unit}`;
}

function notBuilt(issue: string): Pick<Target, 'read' | 'otherwise'> {
  return { read: () => null, otherwise: `not built yet (${issue})` };
}

function bench(name: string): string {
  return `not measured in this run (bench ${name})`;
}

const WIDTHS = [1, 16, 128, 1024];

/** Calls a second and p99 of one who, over the widths. */
function overWidths(result: BenchResult | undefined, who: string): string | null {
  const parts = WIDTHS.flatMap((width) => {
    const row = `call, modern, c=${width}: ${who}`;
    const perSecond = figureOf(result, row, 'calls/s');
    const p99 = figureOf(result, row, 'p99 µs');
    return perSecond === null
      ? []
      : [`c=${width}: ${formatFigure(perSecond)} /s, p99 ${formatFigure((p99 ?? Number.NaN) / 1000)} ms`];
  });
  return parts.length === 0 ? null : parts.join('; ');
}

function measured(ours: string | null, alternative: string | null): Measured | null {
  return ours === null ? null : { ours, ...(alternative !== null && { alternative }) };
}

/** Share of a core that a rate of calls takes. */
function shareAt(cpuUs: number | null, perSecond: number): string | null {
  return cpuUs === null ? null : `${((cpuUs * perSecond) / 10_000).toFixed(0)} % of one core`;
}

const PER_SECOND = 10_000;

const TARGETS: readonly Target[] = [
  {
    capability: 'server registration (durable)',
    report: '2,847 /s; p50 285 µs, p90 412, p99 897, p99.9 2.1 ms',
    read: published(/server registration/),
    otherwise: bench('registry'),
  },
  {
    capability: 'connection pool get: 10 / 100 / 1000',
    report: '83 / 85 / 92 ns',
    read: published(/connection pool/, (results) =>
      figures(results.pool, /connections/, 'arrayPopPushNs', ' ns (array as a stack)'),
    ),
    otherwise: bench('pool'),
  },
  {
    capability: 'message routing, single',
    report: '1.18 µs; 847 K messages/s',
    read: published(/routing, single/, (results) =>
      figures(results.route, /./, 'parseAndMapNs', ' ns (JSON.parse and a Map, no checks)'),
    ),
    otherwise: bench('route'),
  },
  {
    capability: 'message routing, broadcast to 10',
    report: '3.45 µs; 2.9 M deliveries/s',
    read: published(/broadcast/, (results) =>
      figures(results.ring, /postMessage.*10/, 'deliveries/s', ' deliveries/s'),
    ),
    otherwise: bench('ring'),
  },
  { capability: 'health checks', report: '125 K checks/s', ...notBuilt('issue 5') },
  {
    capability: 'circuit breaking',
    report: '3.2 M operations/s',
    read: published(/circuit|breaker/i),
    otherwise: bench('cells'),
  },
  {
    capability: 'zero-copy messages',
    report: '1.2 M messages/s, zero allocations',
    read: published(/zero-copy/, (results) =>
      figures(results.ring, /postMessage.*1 to 1/, 'messages/s', ' messages/s'),
    ),
    otherwise: bench('ring'),
  },
  {
    capability: 'registry reads under writes',
    report: '3.2 M reads and writes/s',
    read: published(/registry reads|under writes|republish/i),
    otherwise: bench('route'),
  },
  {
    capability: 'SIMD JSON',
    report: '3.5 × standard parsing',
    read: published(/SIMD JSON/),
    otherwise: bench('scan'),
  },
  {
    capability: 'batching',
    report: '100–1000 operations a batch; 85 % fewer system calls; 3.2 × throughput',
    read: published(/batch/i),
    otherwise: bench('ring'),
  },
  {
    capability: 'pooling: allocations on the hot path',
    report: '95 % fewer; zero on the hot path',
    read: published(/pooling|allocations/i),
    otherwise: bench('steady'),
  },
  {
    capability: 'cache-line layout',
    report: '40 % fewer misses',
    read: published(/cache.line|striped/i),
    otherwise: bench('cells'),
  },
  {
    capability: 'memory: base; a connection',
    report: '12 MB; 48 KB (Python: 150 MB; 2.5 MB)',
    read: ({ sessions }) =>
      measured(memoryOf(sessions, /^sluice, its own session$/), memoryOf(sessions, /^(?!sluice)/)),
    otherwise: bench('sessions'),
  },
  {
    capability: 'CPU at 10,000 requests a second',
    report: '15–20 % of 8 cores',
    read: ({ routed }) =>
      measured(
        shareAt(figureOf(routed, 'sluice', 'CPU µs/call'), PER_SECOND),
        shareAt(figureOf(routed, 'nginx', 'CPU µs/call'), PER_SECOND)?.concat(' (nginx, blind)') ?? null,
      ),
    otherwise: bench('routed'),
  },
  {
    capability: 'clients 1 / 10 / 100 / 1000',
    report: '2,847 / 27,350 / 268,900 / 1.85 M req/s; p99 0.9 / 1.2 / 3.8 / 45 ms',
    read: (results) => {
      const beside = overWidths(results['peers-http'], 'nginx');
      return measured(
        overWidths(results['peers-http'], 'sluice'),
        beside === null ? null : `nginx: ${beside}`,
      );
    },
    otherwise: bench('peers'),
  },
  {
    capability: 'vertical scaling, 1–16 cores',
    report: '100 → 90.2 % efficiency',
    read: (results) =>
      measured(
        figures(results['peers-http'], /^call, modern, c=128: sluice/, 'CPU µs/call', ' CPU µs/call'),
        null,
      ),
    otherwise: bench('peers'),
  },
  { capability: 'horizontal scaling, 1–16 nodes', report: '100 → 94.1 %', ...notBuilt('nodes come later') },
  {
    capability: 'gRPC C++ / HTTP/2 Go / Express / FastAPI',
    report: '2,100 / 1,800 / 650 / 450 req/s; 120 KB / 85 KB / 1.8 MB / 2.5 MB a connection',
    read: ({ servers }) =>
      measured(
        figures(servers, /^c=16: sluice/, 'calls/s', ' calls/s'),
        figures(servers, /^c=16: (?!sluice|direct)/, 'calls/s', ' calls/s'),
      ),
    otherwise: bench('servers'),
  },
  {
    capability: 'stability',
    report: '24 h; 99.997 % success; recovery < 100 ms',
    read: ({ startup, steady }) => {
      const ms = figureOf(startup, 'sluice, upstream back again', 'recovered ms');
      const back = ms === null ? null : `back ${formatFigure(ms)} ms after the upstream`;
      const flat = steady === undefined || steady.skipped !== undefined ? null : 'memory: bench steady';
      return measured([back, flat].filter((part) => part !== null).join('; ') || null, null);
    },
    otherwise: bench('startup'),
  },
  {
    capability: 'leak check',
    report: 'valgrind clean',
    read: () => ({ ours: 'the native tests under ASan: `bun scripts/native-test.ts --asan`' }),
    otherwise: '',
  },
  {
    capability: 'start-up; graceful shutdown; image',
    report: '127 ms; 230 ms; 28 MB',
    read: ({ startup }) =>
      measured(
        startText(
          startup,
          'sluice, http',
          startup?.rows.find((row) => row.name === 'sluice, installed'),
        ),
        startText(startup, 'nginx, http'),
      ),
    otherwise: bench('startup'),
  },
  {
    capability: 'OS tuning; target-cpu builds',
    report: 'descriptors, somaxconn, tw_reuse',
    read: () => ({ ours: '`SLUICE_MARCH`: docs/performance.md; `sluice doctor`: not built yet (issue 6)' }),
    otherwise: '',
  },
];

function memoryOf(sessions: BenchResult | undefined, rows: RegExp): string | null {
  const found = (sessions?.rows ?? []).filter((row) => rows.test(row.name));
  if (found.length === 0) return null;
  return found
    .map((row) => {
      const kb = Object.entries(row.figures).filter(([name]) => name.startsWith('KB a session'));
      const last = kb.at(-1)?.[1];
      return `${row.name}: ${formatFigure(row.figures['RSS MB idle'])} MB; ${formatFigure(last)} KB a session`;
    })
    .join('; ');
}

function startText(startup: BenchResult | undefined, row: string, install?: BenchRow): string | null {
  const ready = figureOf(startup, row, 'listening ms');
  if (ready === null) return null;
  const drained = figureOf(startup, row, 'drained ms') ?? Number.NaN;
  const sizes = Object.values(install?.figures ?? {}).map((mb) => formatFigure(mb));
  const size = sizes.length === 0 ? '' : `; installed ${sizes.join(' + ')} MB (package + its packages + Bun)`;
  return `${row}: ${formatFigure(ready)} ms; ${formatFigure(drained)} ms${size}`;
}

/** The table, from what a run has. */
export function targetsOf(results: Results): BenchResult {
  return {
    title: 'targets: the report, ours, and what one would use instead',
    method:
      'the report: "Rust MCP Performance Report", version 1.0.0, 2025-06-15, on a Ryzen 9 5950X; ours and the alternative: this run, this machine',
    rows: TARGETS.map((target) => {
      const found = target.read(results);
      return {
        name: target.capability,
        figures: {
          report: target.report,
          ours: found?.ours ?? target.otherwise,
          alternative: found?.alternative ?? '-',
        },
      };
    }),
    checksum: checksumOf(TARGETS.map((target) => target.capability).join()),
  };
}
