// Whether the load itself is fast enough: `sluice bench` beside wrk, against the same raw echo.
// Called by bench/run.ts. Promises: rounds are interleaved; a figure of any gateway near the one of `sluice bench` here says nothing about
// that gateway.
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchResult, checksumOf, median, rowOf, skippedBench } from '../report.ts';
import { runLoad } from './load.ts';
import { startEcho } from './peers.ts';
import { which } from './target.ts';
import { runWrk, wrkScript } from './wrk.ts';

const TITLE = 'the load itself: sluice bench beside wrk';
const WIDTHS = [1, 32];

interface Round {
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Measures both, or says why it cannot. */
export async function benchCapacity(options: {
  readonly rounds: number;
  readonly secondsPerRound: number;
}): Promise<BenchResult> {
  const wrk = which('wrk');
  if (wrk === null) return skippedBench(TITLE, 'wrk is not installed (Debian: apt-get install wrk)');
  const script = join(tmpdir(), `sluice-capacity-${process.pid}.lua`);
  writeFileSync(script, wrkScript());
  const echo = await startEcho();
  const { secondsPerRound } = options;
  try {
    const rows = [];
    for (const connections of WIDTHS) {
      const rounds: { wrk: Round[]; sluice: Round[] } = { wrk: [], sluice: [] };
      for (let round = 0; round < options.rounds; round++) {
        const theirs = await runWrk(wrk, script, echo.url, connections, secondsPerRound);
        rounds.wrk.push({ ...theirs, perSecond: theirs.calls / theirs.seconds });
        const asked = { era: 'modern', method: 'call', connections, payloadBytes: 0 } as const;
        const ours = await runLoad(echo.url, asked, { seconds: secondsPerRound, warmUpSeconds: 0.5 });
        rounds.sluice.push({ ...ours, perSecond: ours.calls / ours.seconds });
      }
      rows.push(row(`wrk, c=${connections}`, rounds.wrk, rounds.wrk));
      rows.push(row(`sluice bench, c=${connections}`, rounds.sluice, rounds.wrk));
    }
    return {
      title: TITLE,
      method: `the raw echo, no gateway; wrk with one thread; ${options.rounds} interleaved rounds of ${secondsPerRound} s; medians; wrk judges no reply but its status`,
      rows,
      checksum: checksumOf(WIDTHS.join()),
    };
  } finally {
    await echo.stop();
    rmSync(script, { force: true });
  }
}

function row(name: string, own: readonly Round[], base: readonly Round[]) {
  const columns = {
    'calls/s': own.map((round) => round.perSecond),
    'p50 µs': own.map((round) => round.p50Us),
    'p99 µs': own.map((round) => round.p99Us),
  };
  return rowOf(name, columns, {
    'calls/s × wrk': median(own.map((round, at) => round.perSecond / (base[at]?.perSecond ?? Number.NaN))),
  });
}
