// The world of this thread, through whichever runtime runs it.
// Called by main.ts and thread.ts. Promises: what belongs to the other runtime is not loaded.
import { keepEarly } from './bun-early.ts';
import type { Runtime } from './runtime.ts';

/** The runtime of this thread. */
export async function createRuntime(): Promise<Runtime> {
  keepEarly();
  if (typeof process.versions.bun === 'string') return (await import('./bun.ts')).createBunRuntime();
  return (await import('./node.ts')).createNodeRuntime();
}
