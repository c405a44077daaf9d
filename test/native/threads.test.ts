// The addon in many threads at once: each has state of its own, and the end of one leaves the others alone.
// Promises: without an addon it says in one line that there is nothing to test, unless SLUICE_SCAN=addon makes that a failure.
import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { loadAddon } from '../../src/scan/addon.ts';
import type { ThreadReport } from './scan-thread.ts';

const { scanner, failure } = loadAddon();

if (scanner === null && Bun.env.SLUICE_SCAN !== 'addon') {
  console.log(`scanner threads: not tested, there is no addon (${failure})`);
} else {
  test('six threads, each on a kernel of its own, scan at once and agree', async () => {
    const { kernels } = loadAddon().scanner ?? { kernels: [] };
    expect(kernels.length).toBeGreaterThan(0);
    const shared = new SharedArrayBuffer(1 << 16);
    const text = new TextEncoder().encode(
      `{"jsonrpc":"2.0","id":1,"method":"m","params":{"arguments":[${'{"a":1},'.repeat(6000)}0]}}`,
    );
    new Uint8Array(shared).set(text);
    const workers = Array.from({ length: 6 }, (_, index) => {
      const worker = new Worker(join(import.meta.dir, 'scan-thread.ts'));
      const kernel = kernels[index % kernels.length] ?? '';
      const report = new Promise<ThreadReport>((resolve, reject) => {
        worker.onmessage = (event: MessageEvent<ThreadReport>) => resolve(event.data);
        worker.onerror = (event) => reject(new Error(event.message));
      });
      worker.postMessage({ kernel, shared, size: text.length, rounds: 300 });
      return { worker, kernel, report };
    });
    try {
      for (const { kernel, report } of workers) {
        const { kernel: used, faults, depth } = await report;
        expect([used, faults, depth]).toEqual([kernel, 0, 4]);
      }
    } finally {
      for (const { worker } of workers) worker.terminate();
    }
    // This thread's own state was made by its own load and is untouched.
    expect(scanner?.kernel).toBe(kernels[0]);
  }, 20_000);
}
