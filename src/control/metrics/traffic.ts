// Gathers what went through the gateway: endpoints, servers, tools, errors.
// Called by text.ts. Promises: reads the shared memory alone; labels are names of the configuration and of tools, and as many as those.
import { sumCounters } from '../../memory/counters.ts';
import { OUTCOMES } from '../../memory/journal-layout.ts';
import type { PlaneMemory } from '../../memory/memory.ts';
import {
  endpointTimes,
  errorCounts,
  type PhaseTimes,
  type ServerSeries,
  serverSeries,
  type ToolSeries,
  toolSeries,
} from '../../memory/series-read.ts';
import type { Exemplars } from './exemplars.ts';
import type { Samples } from './samples.ts';
import type { MetricName } from './table.ts';

/** A server or an endpoint, and its place in the memory. */
export interface Placed {
  readonly name: string;
  readonly place: number;
}

/** What the gatherers read, and where they put it. */
export interface Gathering {
  readonly memory: PlaneMemory;
  readonly samples: Samples;
  readonly exemplars: Exemplars;
}

const TOOL_CALL = 'tools/call';
/** Where calls of tools are counted that have no place of their own. */
const OTHER_TOOL = 'other';

/** What clients see; `name` is an endpoint's path. */
export function addEndpoint({ memory, samples, exemplars }: Gathering, { name, place }: Placed): void {
  const sums = sumCounters(memory, place);
  for (const outcome of OUTCOMES)
    samples.add('sluice_endpoint_exchanges_total', [name, outcome], sums[outcome]);
  samples.add('sluice_endpoint_request_bytes_total', [name], sums.requestBytes);
  samples.add('sluice_endpoint_reply_bytes_total', [name], sums.replyBytes);
  samples.add('sluice_handovers_total', [name, 'out'], sums.handedOver);
  samples.add('sluice_handovers_total', [name, 'in'], sums.takenOver);
  const times = endpointTimes(memory, place);
  samples.addTimes('sluice_endpoint_duration_seconds', [name], times.total, (bucket) =>
    exemplars.in('endpoint', place, bucket),
  );
  addPhases(samples, 'sluice_endpoint_phase_seconds', [name], times);
}

/** Errors of the table, whosever endpoint they met. */
export function addErrors({ memory, samples }: Gathering): void {
  for (const { code, source, count } of errorCounts(memory))
    samples.add('sluice_errors_total', [code, source], count);
}

/** What the gateway asked of the servers, and of their tools. */
export function addServers(gathering: Gathering, servers: readonly Placed[]): void {
  const { memory } = gathering;
  // First the tools: what is called meanwhile is then in their server's count, and `other` never falls.
  const tools = Map.groupBy(toolSeries(memory), ({ cell }) => cell);
  for (const server of servers) {
    const series = serverSeries(memory, server.place);
    if (series.exchanges.length === 0) continue;
    addServer(gathering, server, series);
    addTools(gathering, server.name, series, tools.get(server.place) ?? []);
  }
}

function addServer({ samples, exemplars }: Gathering, { name, place }: Placed, series: ServerSeries): void {
  for (const { method, outcome, count } of series.exchanges)
    samples.add('sluice_server_exchanges_total', [name, method, OUTCOMES[outcome] ?? ''], count);
  samples.addTimes('sluice_server_duration_seconds', [name], series.times.total, (bucket) =>
    exemplars.in('server', place, bucket),
  );
  addPhases(samples, 'sluice_server_phase_seconds', [name], series.times);
  samples.add('sluice_server_request_bytes_total', [name], series.requestBytes);
  samples.add('sluice_server_reply_bytes_total', [name], series.replyBytes);
  samples.add('sluice_server_repeats_total', [name], series.repeats);
  samples.add('sluice_server_cached_total', [name], series.cached);
  samples.add('sluice_server_rpc_errors_total', [name], series.rpcErrors);
}

function addTools(
  { samples }: Gathering,
  server: string,
  { exchanges }: ServerSeries,
  tools: readonly ToolSeries[],
): void {
  for (const { name, exchanges: counts, times } of tools) {
    addOutcomes(samples, [server, name], counts);
    samples.addTimes('sluice_tool_duration_seconds', [server, name], times.total);
    addPhases(samples, 'sluice_tool_phase_seconds', [server, name], times);
  }
  const others = OUTCOMES.map((_, outcome) => {
    const all = exchanges.find((one) => one.method === TOOL_CALL && one.outcome === outcome)?.count ?? 0;
    const named = tools.reduce((sum, tool) => sum + (tool.exchanges[outcome] ?? 0), 0);
    return Math.max(0, all - named);
  });
  // A tool may be called that, too: then it has both.
  const called = tools.find(({ name }) => name === OTHER_TOOL);
  if (called === undefined) addOutcomes(samples, [server, OTHER_TOOL], others);
}

function addOutcomes(samples: Samples, labels: readonly string[], counts: readonly number[]): void {
  for (const [outcome, name] of OUTCOMES.entries()) {
    const count = counts[outcome] ?? 0;
    if (count > 0) samples.add('sluice_tool_exchanges_total', [...labels, name], count);
  }
}

function addPhases(samples: Samples, name: MetricName, labels: readonly string[], times: PhaseTimes): void {
  for (const [phase, one] of Object.entries(times))
    if (phase !== 'total') samples.addTimes(name, [...labels, phase], one);
}
