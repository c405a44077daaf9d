// Where the spans of a gateway go, if its configuration wants traces.
// Called by lifecycle.ts and stdio.ts. Promises: what sends them is loaded only where they are wanted.
import type { SpanExporter } from '../control/traces/exporter.ts';
import type { Log } from '../observe/log.ts';
import type { Ready } from './configure.ts';
import type { World } from './world.ts';

/** Time that the last spans get when the gateway ends. */
export const SPANS_CLOSE_MS = 2000;

/** What sends spans to the collector; null when nothing is traced. */
export async function openTraces(world: World, { config }: Ready, log: Log): Promise<SpanExporter | null> {
  const { url, headers, service } = config.tracing;
  if (url === undefined) return null;
  const { SpanExporter } = await import('../control/traces/exporter.ts');
  const { runtime, version } = world;
  return new SpanExporter({ runtime, log: log.room('control'), url, headers, service, version });
}
