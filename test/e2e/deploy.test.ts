// What is in deploy/ fits the metrics that exist: every name and label in the rules and in the dashboard, and Prometheus understands every expression.
// Run by bun test. Promises: reads the files as they are shipped.
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { METRICS } from '../../src/control/metrics/table.ts';
import { ROOT } from '../fixtures/harness.ts';
import { lacks, PROMETHEUS, PROMTOOL, promtool, startPrometheus } from '../fixtures/prometheus.ts';

const TEST_MS_MAX = 60_000;
const FOLDER = join(ROOT, 'deploy');
/** Labels that a scraper adds, and the one of buckets. */
const ADDED = ['instance', 'job', 'le'];
const NAME = /\b((?:sluice|process)_[a-z_]+)(?:\{([^}]*)\})?/g;
const WORDS = /\b(?:by|on|ignoring)\s*\(([^)]*)\)/g;

interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Panel {
  readonly title: string;
  readonly type: string;
  readonly targets?: readonly { readonly expr: string }[];
}

function read(path: string): string {
  return readFileSync(join(FOLDER, path), 'utf8');
}

function rules(): readonly Rule[] {
  const { groups } = parse(read('prometheus/sluice.rules.yml')) as { groups: { rules: Rule[] }[] };
  return groups.flatMap((group) => group.rules);
}

const dashboard = JSON.parse(read('grafana/sluice.json')) as {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly query: string | { readonly query: string } }[] };
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
};

/** Every expression of the dashboard, with what stands for its variables. */
function expressions(): readonly string[] {
  const { panels, annotations } = dashboard;
  const own = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  return [...own, ...annotations.list.map(({ expr }) => expr)].map((expr) =>
    expr.replaceAll('$__rate_interval', '1m').replaceAll('$__interval', '1m').replaceAll(/\$\w+/g, '.*'),
  );
}

/** The metrics in a text, and every label that it selects or groups by. */
function faultsOf(text: string): string[] {
  // The names of recording rules are their own.
  const expr = text.replaceAll(/\b\w+:\w+:\w+/g, '');
  const labels = new Set(ADDED);
  const faults: string[] = [];
  const names: string[] = [];
  for (const [, written = '', selector = ''] of expr.matchAll(NAME)) {
    const base = written.replace(/_(?:bucket|sum|count)$/, '');
    const row = Object.entries(METRICS).find(
      ([name, { kind }]) => name === (kind === 'histogram' ? base : written),
    )?.[1];
    if (row === undefined) faults.push(`${written} is no metric`);
    names.push(written);
    for (const label of row?.labels ?? []) labels.add(label);
    for (const [, label = ''] of selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g))
      if (![...ADDED, ...(row?.labels ?? [])].includes(label))
        faults.push(`${written} has no label ${label}`);
  }
  for (const [, list = ''] of expr.matchAll(WORDS))
    for (const label of list.split(',').map((one) => one.trim()))
      if (label !== '' && !labels.has(label)) faults.push(`${names.join(', ')}: no label ${label}`);
  return faults;
}

describe('the check itself', () => {
  test('finds what is wrong', () => {
    expect(faultsOf('rate(sluice_nothing_total[5m])')).toEqual(['sluice_nothing_total is no metric']);
    expect(faultsOf('sluice_pool_waiting{tool="x"}')).toEqual(['sluice_pool_waiting has no label tool']);
    expect(faultsOf('sum by (method) (sluice_pool_waiting)')).toEqual([
      'sluice_pool_waiting: no label method',
    ]);
    expect(faultsOf('rate(sluice_server_duration_seconds[5m])')).toEqual([]);
    expect(faultsOf('sluice_server_exchanges_total_sum')).toEqual([
      'sluice_server_exchanges_total_sum is no metric',
    ]);
  });
});

describe('the rules', () => {
  test('name metrics and labels that exist, and say what to look at', () => {
    const all = rules();
    expect(all.length).toBeGreaterThan(8);
    expect(all.flatMap(({ expr }) => faultsOf(expr))).toEqual([]);
    for (const { alert, annotations = {} } of all)
      if (alert !== undefined)
        expect([alert, Object.keys(annotations)]).toEqual([alert, ['summary', 'description']]);
  });

  // Where it is not installed, which is printed.
  test.skipIf(lacks(PROMTOOL, 'promtool'))('are rules to promtool, and their own tests pass', () => {
    const checked = promtool(['check', 'rules', join(FOLDER, 'prometheus/sluice.rules.yml')]);
    expect([checked.code, checked.output]).toEqual([0, expect.stringContaining('SUCCESS')]);
    const tested = promtool(['test', 'rules', join(FOLDER, 'prometheus/sluice.rules.test.yml')]);
    expect([tested.code, tested.output]).toEqual([0, expect.stringContaining('SUCCESS')]);
    const config = promtool(['check', 'config', '--syntax-only', join(FOLDER, 'prometheus/prometheus.yml')]);
    expect(config.code).toBe(0);
  });
});

describe('the dashboard', () => {
  test('names metrics and labels that exist', () => {
    const all = expressions();
    expect(all.length).toBeGreaterThan(20);
    expect(all.flatMap(faultsOf)).toEqual([]);
    const variables = dashboard.templating.list.map(({ query }) =>
      typeof query === 'string' ? query : query.query,
    );
    expect(variables.flatMap(faultsOf)).toEqual([]);
  });

  test('has a panel of its own in each place', () => {
    const titles = dashboard.panels.filter(({ type }) => type !== 'row').map(({ title }) => title);
    expect(new Set(titles).size).toBe(titles.length);
  });

  // Where it is not installed, which is printed.
  test.skipIf(lacks(PROMETHEUS, 'prometheus'))(
    'asks nothing that Prometheus does not understand',
    async () => {
      const prometheus = await startPrometheus('127.0.0.1:9', 'nobody');
      try {
        for (const expr of expressions()) expect(await prometheus.query(expr)).toBeArray();
      } finally {
        await prometheus.stop();
      }
    },
    TEST_MS_MAX,
  );
});
