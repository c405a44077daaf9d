// The text of /metrics: Prometheus' own format, or OpenMetrics with exemplars, as the scraper asks.
// Called by control/admin/, which loads it at the first scrape. Promises: never rejects for a worker that does not answer: what it would have told is left out.
import { must } from '../../base/assert.ts';
import { cellsInOrder } from '../../upstream/spec.ts';
import { Exemplars } from './exemplars.ts';
import { addMemory, addProcess, addWorkers, type Measured } from './gateway.ts';
import { Samples } from './samples.ts';
import { addEndpoint, addErrors, addServers } from './traffic.ts';
import { addInspection, addPlaces, addStats, type Way } from './ways.ts';

const OPENMETRICS = 'application/openmetrics-text';
const PLAIN = 'text/plain';

/** Everything that is known at this moment; `accept` is the scraper's header, null for none. */
export async function metricsText(
  governed: Measured,
  accept: string | null,
): Promise<{ readonly contentType: string; readonly text: string }> {
  const { memory, runtime } = governed;
  const samples = new Samples();
  const snapshot = governed.snapshot();
  const cells = snapshot.places?.servers ?? cellsInOrder(snapshot.servers);
  const ways = snapshot.servers.map(
    (spec, at): Way => ({ spec, cells: must(cells[at], 'the cells of a server') }),
  );
  const gathering = { memory, samples, exemplars: new Exemplars(memory) };
  for (const [at, { path }] of snapshot.endpoints.entries())
    addEndpoint(gathering, { name: path, place: snapshot.places?.endpoints[at] ?? at });
  addErrors(gathering);
  addServers(
    gathering,
    ways.map((way) => ({ name: way.spec.name, place: must(way.cells[0], 'a cell of its own') })),
  );
  const wallMs = runtime.clock.wall();
  for (const way of ways) addPlaces(samples, way, { memory, wallMs });
  addMemory(samples, memory);
  const [stats, inspection] = await Promise.all([told(governed.stats()), told(governed.inspect())]);
  if (stats !== null) addWorkers(samples, stats);
  for (const { spec } of ways) {
    const own = stats?.upstreams[spec.name];
    if (own !== undefined) addStats(samples, spec.name, own);
  }
  if (inspection !== null) addInspection(samples, inspection);
  await addProcess(samples, governed);
  return samples.text(wantsOpenMetrics(accept));
}

function told<T>(answer: Promise<T>): Promise<T | null> {
  return answer.catch(() => null);
}

/** True when OpenMetrics is asked for, and not less than plain text (RFC 9110 §12.5.1). */
function wantsOpenMetrics(accept: string | null): boolean {
  if (accept === null) return false;
  const weights = new Map<string, number>();
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const q = parameters.find((one) => one.startsWith('q='))?.slice(2);
    const weight = q === undefined ? 1 : Number(q);
    weights.set(type, Math.max(weights.get(type) ?? 0, Number.isFinite(weight) ? weight : 0));
  }
  const open = weights.get(OPENMETRICS) ?? 0;
  return open > 0 && open >= (weights.get(PLAIN) ?? 0);
}
