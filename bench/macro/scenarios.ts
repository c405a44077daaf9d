// What is asked of the gateways: a chosen list, and not every era × payload × method × width, which would take hours and say little more.
// Called by suite.ts and tests; told to people by docs/benchmark.md. Promises: pure; names are stable, since results are compared by them.
import type { Asked } from './load.ts';
import type { UpstreamKind } from './peer.ts';

/** One thing that is measured. */
export interface Scenario {
  readonly name: string;
  readonly upstream: UpstreamKind;
  /** True: the upstream answers with an event stream. */
  readonly streamed: boolean;
  /** True: also asked of the gateways that answer a few calls a second. */
  readonly basic: boolean;
  readonly asked: Asked;
}

/** How much of the list: toy for tests, full with the widest loads. */
export interface ScenarioSize {
  readonly full: boolean;
  readonly toy?: boolean;
}

const KB = 1024;
const USUAL_WIDTH = 16;
const TOY_WIDTH = 4;
const OPEN_MODEL = { connections: 64, ratePerSecond: 1_000 };

/** Everything that is measured at a size. */
export function scenariosOf(size: ScenarioSize): Scenario[] {
  const toy = size.toy === true;
  const usual = toy ? TOY_WIDTH : USUAL_WIDTH;
  const list: Scenario[] = [];
  const add = (
    upstream: UpstreamKind,
    name: string,
    asked: Partial<Asked>,
    parts: { readonly basic?: boolean; readonly streamed?: boolean } = {},
  ): void => {
    const all: Asked = { era: 'modern', method: 'call', connections: usual, payloadBytes: 0, ...asked };
    list.push({
      name: `${name}, ${all.era}, c=${all.connections}`,
      upstream,
      streamed: parts.streamed === true,
      basic: parts.basic === true,
      asked: all,
    });
  };
  for (const upstream of ['http', 'stdio'] as const) {
    if (!toy) add(upstream, 'call', { connections: 1 }, { basic: true });
    add(upstream, 'call', {}, { basic: true });
    if (!toy) add(upstream, 'call', { connections: 128 });
    if (size.full && !toy) add(upstream, 'call', { connections: 1024 });
    add(upstream, 'call', { era: 'legacy' }, { basic: true });
    // The open model: calls are due whether the ones before were answered or not.
    if (!toy) add(upstream, 'call, 1,000 due a second', OPEN_MODEL);
    add(upstream, 'list', { method: 'list' });
    if (upstream === 'http') add(upstream, 'streamed call', {}, { streamed: true });
    if (upstream === 'http' || !toy) add(upstream, 'call of 64 KB', { payloadBytes: 64 * KB });
    if (upstream === 'http' && !toy) add(upstream, 'call of 1 MB', { payloadBytes: KB * KB, connections: 4 });
  }
  return list;
}
