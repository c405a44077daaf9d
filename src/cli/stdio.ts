// `sluice stdio`: all servers of a configuration on stdin and stdout, for clients that start their servers themselves.
// Called by program.ts. Promises: stdout carries the protocol and nothing else; ends when stdin does, or at a signal as `serve` does.
import type { Level } from '../observe/log.ts';
import { loadNamed, prepare } from './configure.ts';
import { untilStopped } from './ending.ts';
import { openLog } from './lifecycle.ts';
import { openTraces, SPANS_CLOSE_MS } from './traces.ts';
import { EXIT, type World } from './world.ts';

/** Options as the command line gives them. */
export interface StdioOptions {
  readonly config?: string;
  readonly log?: Level;
}

/** Runs the command; resolves to the exit code. */
export async function stdio(world: World, options: StdioOptions): Promise<number> {
  const loaded = await loadNamed(world, options.config);
  const ready = loaded === null ? null : prepare(world, loaded, options);
  if (ready === null) return EXIT.usage;
  const { snapshot, scan, level } = ready;
  const { startStdio } = await import('../gateway.ts');
  const log = openLog(world, ready);
  const traces = await openTraces(world, ready, log);
  const gateway = await startStdio({
    ...{ runtime: world.runtime, snapshot, log, scan, logLevel: level },
    ...(traces !== null && { onSpans: traces.take }),
  });
  try {
    return await Promise.race([gateway.ended.then(() => EXIT.ok), untilStopped(world, gateway)]);
  } finally {
    await traces?.close(SPANS_CLOSE_MS);
  }
}
