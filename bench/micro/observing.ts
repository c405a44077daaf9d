// What looking costs inside the gateway: its own part of a call, without kernel and transport, with one thing after the other switched on.
// Called by bench/run.ts and, at toy size, by test/bench.test.ts. Promises: short batches in turn in one thread, the shortest of each counts: what a noisy machine adds to
// some is in none of them; what the transport takes for a longer head is not in it.

import { CALL_BODY, REPLY_BODY } from '../macro/call.ts';
import { kindsOf } from '../macro/observing.ts';
import { type BenchResult, checksumOf } from '../report.ts';
import { createInnerPlane } from './plane.ts';

/** How long to measure. */
export interface InnerOptions {
  readonly rounds: number;
  readonly callsPerRound: number;
  /** CPU of a whole routed call with nothing noted, in µs: what the parts are shares of. Null when that was not measured. */
  readonly routedUs: number | null;
}

/** Spans go nowhere: whoever sends them is on the main thread. */
const NO_COLLECTOR = 'http://127.0.0.1:9/';
const WARM_UP_ROUNDS = 8;

/** Runs the bench. */
export async function benchInnerObserving(options: InnerOptions): Promise<BenchResult> {
  const { rounds, callsPerRound, routedUs } = options;
  const planes = kindsOf(NO_COLLECTOR).map(({ name, config }) => ({
    name,
    plane: createInnerPlane(config),
    leastUs: Number.POSITIVE_INFINITY,
  }));
  for (const { plane } of planes) await plane.run(WARM_UP_ROUNDS * callsPerRound);
  for (let round = 0; round < rounds; round++)
    for (const one of planes) one.leastUs = Math.min(one.leastUs, await one.plane.run(callsPerRound));
  for (const { plane } of planes) await plane.stop();
  const base = planes[0]?.leastUs ?? Number.NaN;
  return {
    title: 'observing: what it adds to the gateway’s own part of a call',
    method: `in process, no sockets; ${rounds} rounds of ${callsPerRound} calls in turn, the shortest of each; '% of a call': of ${routedUs === null ? 'a routed call, which was not measured' : `${routedUs.toFixed(1)} µs, the CPU of a routed call of this run`}`,
    rows: planes.map(({ name, leastUs }) => ({
      name,
      figures: {
        'µs/call': leastUs,
        'added µs': leastUs - base,
        ...(routedUs !== null && { '% of a call': ((leastUs - base) / routedUs) * 100 }),
      },
    })),
    checksum: checksumOf(REPLY_BODY, checksumOf(CALL_BODY)),
  };
}
