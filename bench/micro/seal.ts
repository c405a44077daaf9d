// Sealed session ids: sealing one, opening one for the first time, opening one that a client brings again.
// Called by bench/run.ts and, at toy size, by the tests. Promises: sealer and cipher are the real ones; every opened text is a fresh string, as a
// listener gives it, and what making such a string costs is taken off; the rival opens every time, without a memory.
import { decode, encode } from '../../src/base/bytes.ts';
import { ANY_WORKER, type Binding, freshKeyRing, type Handle, Sealer } from '../../src/bridge/seal.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { type BenchResult, type BenchRow, checksumOf } from '../report.ts';
import { measureTasks } from './measure.ts';

const CALLS = 1_000;
const AT: Binding = { endpoint: '/mcp/search', principal: '' };

/** Handles of that many sessions, with the ids that the official SDK gives them. */
function handlesOf(sessions: number): readonly Handle[] {
  return Array.from({ length: sessions }, () => ({
    kind: 'session',
    node: 0,
    worker: ANY_WORKER,
    generation: 0,
    expiresAtS: 4_000_000_000,
    inner: crypto.randomUUID(),
  }));
}

/** Calls back with one text after the other, each time as a new string. */
function freshTexts(texts: readonly string[]): () => string {
  const stored = texts.map(encode);
  let at = 0;
  return () => {
    at = at + 1 === stored.length ? 0 : at + 1;
    return decode(stored[at] ?? encode(''));
  };
}

/** Measures the three with few and with many sessions. */
export async function benchSeal(options: { readonly toy: boolean }): Promise<BenchResult> {
  const runtime = createBunRuntime();
  const ring = freshKeyRing(runtime.random);
  const rows: BenchRow[] = [];
  let checksum = checksumOf('seal');
  for (const sessions of options.toy ? [10] : [100, 1_000, 10_000]) {
    const handles = handlesOf(sessions);
    const sealing = new Sealer(runtime, ring);
    const texts = handles.map((handle) => sealing.seal(handle, AT));
    const [handle] = handles;
    if (handle === undefined) throw new Error('no handle was made');
    const knowing = new Sealer(runtime, ring);
    const right = texts.filter((text, n) => knowing.open(text, AT)?.inner === handles[n]?.inner).length;
    checksum = checksumOf(`${sessions} ${right} ${texts[0]?.length}`, checksum);
    const fresh = freshTexts(texts);
    // Renewed keys make a sealer forget what it has opened.
    const forgetful = new Sealer(runtime, ring);
    const ns = await measureTasks(
      {
        text: fresh,
        again: () => knowing.open(fresh(), AT),
        first: () => {
          forgetful.renew(ring);
          return forgetful.open(fresh(), AT);
        },
        seal: () => sealing.seal(handle, AT),
      },
      { calls: options.toy ? 10 : CALLS, toy: options.toy },
    );
    const textNs = ns.text ?? Number.NaN;
    rows.push({
      name: `${sessions} sessions`,
      figures: {
        sealNs: ns.seal ?? Number.NaN,
        openFirstNs: (ns.first ?? Number.NaN) - textNs,
        openAgainNs: (ns.again ?? Number.NaN) - textNs,
      },
    });
  }
  return {
    title: 'seal: session ids, sealed and opened',
    method: 'AES-256-GCM over a UUID and its home; making the text is taken off; best median of the rounds',
    rows,
    checksum,
  };
}
