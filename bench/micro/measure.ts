// Nanoseconds of short tasks, taken with tinybench in rounds where the tasks take turns.
// Called by the micro benches. Promises: a slow moment of the machine hits all tasks of a round alike; the best median of the rounds counts.
import { Bench } from 'tinybench';

const ROUNDS = 5;

/** Nanoseconds of one call of each task. `calls` of them make one sample: long against the clock's own cost, short against a time slice. */
export async function measureTasks(
  tasks: Readonly<Record<string, () => unknown>>,
  options: { readonly calls: number; readonly toy: boolean },
): Promise<Record<string, number>> {
  const { calls, toy } = options;
  const best: Record<string, number> = {};
  for (let round = 0; round < (toy ? 1 : ROUNDS); round++) {
    const bench = new Bench({
      time: toy ? 2 : 120,
      warmupTime: toy ? 1 : 40,
      iterations: 4,
      warmupIterations: 2,
    });
    for (const [name, task] of Object.entries(tasks)) {
      bench.add(name, () => {
        for (let call = 0; call < calls; call++) task();
      });
    }
    await bench.run();
    for (const task of bench.tasks) {
      const { result } = task;
      const ns = 'latency' in result ? (result.latency.p50 * 1e6) / calls : Number.NaN;
      best[task.name] = Math.min(best[task.name] ?? Number.POSITIVE_INFINITY, ns);
    }
  }
  return best;
}
