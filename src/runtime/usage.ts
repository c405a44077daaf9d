// What this process has used of memory and processors, as the system counts it.
// Called by bun.ts and node.ts. Promises: all threads of the process together.
import { readdirSync } from 'node:fs';

/** What this process has used so far, all its threads together. */
export interface Usage {
  readonly rssBytes: number;
  readonly cpuUserMs: number;
  readonly cpuSystemMs: number;
  /** Open file descriptors, counted when it is read; null where they cannot be told. */
  readonly openFiles: number | null;
}

/** As Runtime.usage(). */
export function processUsage(): Usage {
  const { user, system } = process.cpuUsage();
  return {
    rssBytes: process.memoryUsage.rss(),
    cpuUserMs: user / 1000,
    cpuSystemMs: system / 1000,
    get openFiles() {
      return openFiles();
    },
  };
}

/** Linux lists them; the one by which they are listed is not counted. */
function openFiles(): number | null {
  try {
    return readdirSync('/proc/self/fd').length - 1;
  } catch {
    return null;
  }
}
