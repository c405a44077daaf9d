// The macro bench at toy size: a few hundred calls through a real gateway process, by a small client in this process.
// Called by test/bench.test.ts and by `SLUICE_BENCH=toy`. Promises: needs neither wrk nor nginx, checks every reply byte for byte,
// asserts no time, and gives the same checksum on every machine.
import { type BenchResult, checksumOf, median } from '../report.ts';
import { CALL_BODY, CALL_HEADERS, REPLY_BODY } from './call.ts';
import { startEcho, startGateway } from './peers.ts';

const TITLE = 'routed tools/call, toy size';

/** Makes one call; returns its µs. Throws when the reply is not the upstream's, byte for byte. */
async function call(url: string): Promise<number> {
  const from = performance.now();
  const reply = await fetch(url, { method: 'POST', headers: CALL_HEADERS, body: CALL_BODY });
  const text = await reply.text();
  if (reply.status !== 200 || text !== REPLY_BODY)
    throw new Error(`${url} answered ${reply.status}: ${text.slice(0, 500)}`);
  return (performance.now() - from) * 1000;
}

/** Sends `calls` calls, `width` at a time, straight to the echo upstream and through the gateway. */
export async function benchToy(calls: number, width: number): Promise<BenchResult> {
  const echo = await startEcho();
  try {
    const gateway = await startGateway(echo.url);
    try {
      const rows = [];
      let checksum = 0;
      for (const target of [echo, gateway]) {
        const times: number[] = [];
        let left = calls;
        const client = async (): Promise<void> => {
          while (left-- > 0) times.push(await call(target.url));
        };
        await Promise.all(Array.from({ length: width }, client));
        checksum = checksumOf(`${times.length} ${REPLY_BODY}`, checksum);
        rows.push({ name: target.name, figures: { calls: times.length, 'p50 µs': median(times) } });
      }
      return {
        title: TITLE,
        method: `fetch() client, ${width} at a time; not a measurement`,
        rows,
        checksum,
      };
    } finally {
      await gateway.stop();
    }
  } finally {
    await echo.stop();
  }
}
