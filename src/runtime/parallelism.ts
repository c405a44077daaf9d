// How many threads can truly run at once.
// Called by bun.ts and node.ts. Promises: never less than 1; a container's share of the processors counts, not only their number.
import { readFileSync } from 'node:fs';

/** Where Linux tells a control group (version 2) its share: "quota period" in µs, quota "max" for no bound. */
const SHARE_FILE = '/sys/fs/cgroup/cpu.max';

/** Processors that a share is worth, rounded up; Infinity when there is no bound or the text says nothing. */
export function processorsOfShare(text: string): number {
  const [, quota, period] = /^(\d+) (\d+)\s*$/.exec(text) ?? [];
  const share = Number(quota) / Number(period);
  return share > 0 ? Math.ceil(share) : Number.POSITIVE_INFINITY;
}

function readShare(): string {
  try {
    return readFileSync(SHARE_FILE, 'utf8');
  } catch {
    return 'max';
  }
}

/** Of the processors that this process may use, those within its control group's share. */
export function parallelismOf(processors: number): number {
  return Math.max(1, Math.min(processors, processorsOfShare(readShare())));
}
