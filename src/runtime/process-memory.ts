// Memory of process groups, from the process table.
// Called by bun.ts and node.ts. Promises: one pass over /proc for any number of groups; asynchronous, so that the thread goes on serving; a
// process that ends meanwhile, or a system without /proc, is no error.
import { readdir, readFile } from 'node:fs/promises';

/** Files read at once: enough to keep the pool of file threads busy, few enough to leave room for others. */
const READS_AT_ONCE = 16;
/** Fields of /proc/PID/stat behind the command's closing parenthesis: state, ppid, pgrp … (proc(5)). */
const GROUP_FIELD = 2;

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'latin1');
  } catch {
    return '';
  }
}

/** The group of a process, -1 when it is gone. The command before the fields may hold anything, parentheses included. */
function groupIn(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return stat === '' ? -1 : Number(fields[GROUP_FIELD] ?? -1);
}

/** Resident bytes as /proc/PID/status says them, in KiB, whatever the size of a page. */
function residentIn(status: string): number {
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/** As Runtime.groupMemory(). */
export async function groupMemory(groups: readonly number[]): Promise<ReadonlyMap<number, number>> {
  const held = new Map<number, number>();
  const wanted = new Set(groups);
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const look = async (pid: string): Promise<void> => {
    const group = groupIn(await textOf(`/proc/${pid}/stat`));
    if (!wanted.has(group)) return;
    const bytes = residentIn(await textOf(`/proc/${pid}/status`));
    held.set(group, (held.get(group) ?? 0) + bytes);
  };
  for (let at = 0; at < pids.length; at += READS_AT_ONCE) {
    await Promise.all(pids.slice(at, at + READS_AT_ONCE).map(look));
  }
  return held;
}
