// /metrics of a gateway in real threads: every metric is there and true, promtool finds nothing to say, a real Prometheus reads it.
// Run by bun test. Promises: waits for states, never for an amount of time.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { METRICS } from '../../src/control/metrics/table.ts';
import { type MeasuredGateway, startMeasured } from '../fixtures/measured.ts';
import { lacks, PROMETHEUS, PROMTOOL, promtool, startPrometheus } from '../fixtures/prometheus.ts';

const TEST_MS_MAX = 60_000;
const OPENMETRICS =
  'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
/** Shown only when there is something of their kind: a cache, a process, a call that waits for its client. */
const ELSEWHERE = [
  'sluice_cache_requests_total',
  'sluice_cache_evictions_total',
  'sluice_cache_entries',
  'sluice_cache_size_bytes',
  'sluice_server_children',
  'sluice_server_children_resident_bytes',
  'sluice_server_parked_calls',
];

let world: MeasuredGateway;

beforeAll(async () => {
  world = await startMeasured(2);
  for (let n = 0; n < 8; n++) {
    await world.call('/mcp/near', 'echo');
    await world.call('/mcp', 'far__slow');
  }
  await world.call('/mcp/near', 'wrong');
  await world.call('/mcp/near', 'broken');
  await world.call('/mcp', 'nobody__echo');
}, TEST_MS_MAX);

afterAll(async () => {
  await world.stop();
});

/** Values of an exposition, by name and labels as written. */
async function values(): Promise<ReadonlyMap<string, number>> {
  const { text } = await world.text(null);
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

describe('/metrics', () => {
  test('has every metric of the table, and no other', async () => {
    const { text } = await world.text(null);
    const shown = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', kind]) => [name, kind]);
    expect(shown).toEqual(
      Object.entries(METRICS)
        .filter(([name]) => !ELSEWHERE.includes(name))
        .map(([name, { kind }]) => [name, kind]),
    );
  });

  test('counts what was called: endpoints, servers, tools, errors', async () => {
    const found = await values();
    expect(found.get('sluice_endpoint_exchanges_total{endpoint="/mcp/near",outcome="ok"}')).toBe(9);
    expect(found.get('sluice_endpoint_exchanges_total{endpoint="/mcp/near",outcome="failed"}')).toBe(1);
    expect(found.get('sluice_endpoint_exchanges_total{endpoint="/mcp",outcome="refused"}')).toBe(1);
    expect(found.get('sluice_server_exchanges_total{server="far",method="tools/call",outcome="ok"}')).toBe(8);
    expect(found.get('sluice_server_rpc_errors_total{server="near"}')).toBe(1);
    expect(found.get('sluice_tool_exchanges_total{server="near",tool="echo",outcome="ok"}')).toBe(8);
    // What no server has answered for is nobody's tool: neither the one that is unknown nor the one that always fails.
    expect(found.get('sluice_tool_exchanges_total{server="near",tool="other",outcome="ok"}')).toBe(1);
    expect(found.get('sluice_tool_exchanges_total{server="near",tool="other",outcome="failed"}')).toBe(1);
    // Under the name that its server knows.
    expect(found.get('sluice_tool_exchanges_total{server="far",tool="slow",outcome="ok"}')).toBe(8);
    expect(found.get('sluice_errors_total{code="GW_ROUTE_TOOL",source="client"}')).toBe(1);
  });

  test('tells where the time went: it comes to the whole, and a slow server is the server’s', async () => {
    const found = await values();
    const of = (name: string): number => found.get(name) ?? 0;
    for (const server of ['near', 'far']) {
      const phases = ['gateway', 'queue', 'connect', 'upstream'].map((phase) =>
        of(`sluice_server_phase_seconds_sum{server="${server}",phase="${phase}"}`),
      );
      const whole = of(`sluice_server_duration_seconds_sum{server="${server}"}`);
      expect(phases.reduce((sum, one) => sum + one, 0)).toBeCloseTo(whole, 6);
    }
    expect(of('sluice_server_phase_seconds_sum{server="far",phase="upstream"}')).toBeGreaterThan(8 * 0.025);
    expect(of('sluice_server_phase_seconds_count{server="far",phase="connect"}')).toBeGreaterThan(0);
    expect(of('sluice_tool_phase_seconds_count{server="far",tool="slow",phase="upstream"}')).toBe(8);
  });

  test('buckets only grow, and the last one is the count', async () => {
    const byHistogram = new Map<string, number[]>();
    for (const [name, value] of await values()) {
      const parts = /^(\w+)_bucket\{(.*?),?le="([^"]+)"(.*)\}$/.exec(name);
      if (parts === null) continue;
      const key = `${parts[1]}{${parts[2]}}`;
      byHistogram.set(key, [...(byHistogram.get(key) ?? []), value]);
    }
    expect(byHistogram.size).toBeGreaterThan(5);
    const found = await values();
    for (const [key, buckets] of byHistogram) {
      expect(buckets).toEqual(buckets.toSorted((a, b) => a - b));
      expect(found.get(key.replace('{', '_count{'))).toBe(buckets.at(-1));
    }
  });

  test('shows workers, pools and breakers as they are', async () => {
    const found = await values();
    expect([found.get('sluice_worker_up{worker="0"}'), found.get('sluice_worker_up{worker="1"}')]).toEqual([
      1, 1,
    ]);
    expect(found.get('sluice_breaker_state{server="near",replica="0",state="closed"}')).toBe(1);
    expect(found.get('sluice_pool_connects_total{server="near",replica="0"}')).toBeGreaterThan(0);
    expect(found.get('process_resident_memory_bytes')).toBeGreaterThan(1e6);
    expect(found.get('process_open_fds')).toBeGreaterThan(3);
  });

  test('in OpenMetrics has exemplars that lie in their buckets, and names counters without their suffix', async () => {
    const { contentType, text } = await world.text(OPENMETRICS);
    expect(contentType).toStartWith('application/openmetrics-text; version=1.0.0');
    expect(text).toEndWith('# EOF\n');
    expect(text).toContain('# TYPE sluice_server_exchanges counter\n');
    expect(text).toContain('\nsluice_server_exchanges_total{');
    const exemplars = [...text.matchAll(/le="([^"]+)"\} \d+ # \{exchange_id="([^"]+)"\} (\S+) (\S+)$/gm)];
    expect(exemplars.length).toBeGreaterThan(2);
    for (const [, bound, , value, at] of exemplars) {
      expect(Number(value)).toBeLessThan(bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound));
      expect(Math.abs(Number(at) - Date.now() / 1000)).toBeLessThan(120);
    }
  });

  test('gives plain text to whoever does not ask for more', async () => {
    for (const accept of [null, '*/*', 'text/plain', 'text/plain, application/openmetrics-text;q=0.4'])
      expect((await world.text(accept)).contentType).toStartWith('text/plain; version=0.0.4');
  });
});

// Where it is not installed, which is printed.
describe.skipIf(lacks(PROMTOOL, 'promtool'))('promtool', () => {
  test('has nothing to say', async () => {
    const { text } = await world.text(null);
    expect(promtool(['check', 'metrics'], text)).toEqual({ code: 0, output: '' });
  });
});

// As above.
describe.skipIf(lacks(PROMETHEUS, 'prometheus'))('a real Prometheus', () => {
  test(
    'scrapes it with its token, answers questions, and keeps exemplars',
    async () => {
      const asked: (string | null)[] = [];
      const page = Bun.serve({
        ...{ hostname: '127.0.0.1', port: 0 },
        fetch: async ({ headers }) => {
          asked.push(headers.get('authorization'));
          const { contentType, text } = await world.text(headers.get('accept'));
          return new Response(text, { headers: { 'content-type': contentType } });
        },
      });
      const prometheus = await startPrometheus(`127.0.0.1:${page.port}`, 'a-token');
      try {
        await prometheus.until('up == 1');
        expect(new Set(asked)).toEqual(new Set(['Bearer a-token']));
        const [sample] = await prometheus.query(
          'sum by (server) (sluice_server_exchanges_total{server="far"})',
        );
        expect([sample?.metric.server, sample?.value[1]]).toEqual(['far', '8']);
        const [p99] = await prometheus.query(
          'histogram_quantile(0.99, sum by (le) (sluice_server_phase_seconds_bucket{server="far",phase="upstream"}))',
        );
        expect(Number(p99?.value[1])).toBeGreaterThan(0.016);
        const at = Date.now() / 1000;
        const kept = (await prometheus.get(
          `/api/v1/query_exemplars?query=sluice_server_duration_seconds_bucket&start=${at - 600}&end=${at + 60}`,
        )) as { data: { exemplars: { labels: { exchange_id?: string } }[] }[] };
        expect(kept.data.flatMap(({ exemplars }) => exemplars)[0]?.labels.exchange_id).toBeString();
      } finally {
        await prometheus.stop();
        await page.stop(true);
      }
    },
    TEST_MS_MAX,
  );
});
