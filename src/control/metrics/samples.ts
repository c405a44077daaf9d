// The samples of one scrape, gathered by metric, and their text in either format.
// Called by text.ts and the files that gather. Promises: a sample has the labels that table.ts says; what was never counted is left out; the text is prom-client's.
import { type Metric, Registry, type RegistryContentType } from 'prom-client';
import { assert } from '../../base/assert.ts';
import { BOUNDS_US, type Times } from '../../memory/series-read.ts';
import { METRICS, type MetricName, type MetricRow } from './table.ts';

/** Something that happened, shown beside the bucket that it is in. */
export interface Exemplar {
  readonly labelSet: Readonly<Record<string, string>>;
  readonly value: number;
  /** Seconds since the epoch. */
  readonly timestamp: number;
}

/** One line. */
interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly exemplar?: Exemplar;
}

/** What a metric of prom-client's is to its registry. */
interface Gathered {
  name: string;
  readonly help: string;
  readonly type: MetricRow['kind'];
  get(): Promise<object>;
}

const US_PER_S = 1e6;

/** Samples by metric. */
export class Samples {
  readonly #samples = new Map<MetricName, Sample[]>();

  /** One value; labels in the order of the table. */
  add(name: MetricName, labels: readonly string[], value: number): void {
    const row = METRICS[name];
    assert(labels.length === row.labels.length, 'a sample has the labels of its metric');
    this.#of(name).push({ labels: named(row.labels, labels), value });
  }

  /** A histogram of ours; left out while it is empty. `exemplarIn` gives what to show beside a bucket. */
  addTimes(
    name: MetricName,
    labels: readonly string[],
    { buckets, sumUs }: Times,
    exemplarIn: (bucket: number) => Exemplar | undefined = () => undefined,
  ): void {
    const own = named(METRICS[name].labels, labels);
    const list = this.#of(name);
    let count = 0;
    const lines = buckets.map((inIt, bucket): Sample => {
      count += inIt;
      const bound = BOUNDS_US[bucket];
      const le = bound === undefined ? '+Inf' : bound / US_PER_S;
      const exemplar = exemplarIn(bucket);
      const line = { metricName: `${name}_bucket`, labels: { ...own, le }, value: count };
      return exemplar === undefined ? line : { ...line, exemplar };
    });
    if (count === 0) return;
    list.push(
      ...lines,
      { metricName: `${name}_sum`, labels: own, value: sumUs / US_PER_S },
      { metricName: `${name}_count`, labels: own, value: count },
    );
  }

  #of(name: MetricName): Sample[] {
    const list = this.#samples.get(name) ?? [];
    this.#samples.set(name, list);
    return list;
  }

  /** All of it as text. */
  async text(isOpenMetrics: boolean): Promise<{ readonly contentType: string; readonly text: string }> {
    const registry = new Registry<RegistryContentType>();
    if (isOpenMetrics) registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    // entries() forgets the names.
    for (const [name, row] of Object.entries(METRICS) as [MetricName, MetricRow][]) {
      const values = this.#samples.get(name);
      if (values === undefined || values.length === 0) continue;
      // A registry calls nothing of a metric but get(), and strips a counter's name of what OpenMetrics puts behind it.
      const metric: Gathered = {
        ...{ name, help: row.help, type: row.kind },
        get() {
          return Promise.resolve({ name: this.name, help: row.help, type: row.kind, values });
        },
      };
      // Its types know its own classes alone.
      registry.registerMetric(metric as Gathered & Metric<string>);
    }
    return { contentType: registry.contentType, text: await registry.metrics() };
  }
}

function named(names: readonly string[], values: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name, at) => [name, values[at] ?? '']));
}
