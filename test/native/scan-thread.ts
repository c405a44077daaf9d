// One thread of threads.test.ts: loads the addon, takes a kernel, scans shared bytes and bytes of its own.
// Called as a Worker. Promises: answers one report, then waits to be ended.
import { loadAddon } from '../../src/scan/addon.ts';
import { ENVELOPE, SCAN } from '../../src/scan/contract.ts';

/** What a thread is told. */
export interface ThreadOrder {
  readonly kernel: string;
  readonly shared: SharedArrayBuffer;
  readonly size: number;
  readonly rounds: number;
}

/** What it answers: the kernel it ran on, scans that went wrong, depth of the shared message. */
export interface ThreadReport {
  readonly kernel: string;
  readonly faults: number;
  readonly depth: number;
}

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<ThreadOrder>) => {
  const { scanner } = loadAddon();
  let faults = scanner?.useKernel(data.kernel) ? 0 : 1;
  const envelope = new Int32Array(ENVELOPE.length);
  const large = new Uint8Array(data.shared, 0, data.size);
  const broken = new TextEncoder().encode('{"id":1,}');
  for (let round = 0; round < data.rounds; round++) {
    if (scanner?.scan(broken, 0, broken.length, envelope) !== SCAN.syntax) faults++;
    if (scanner?.scan(large, 0, large.length, envelope) !== SCAN.ok) faults++;
  }
  const report: ThreadReport = {
    kernel: scanner?.kernel ?? '',
    faults,
    depth: envelope[ENVELOPE.depth] ?? -1,
  };
  self.postMessage(report);
};
