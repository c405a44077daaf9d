// Processes under load: started, awaited until ready, measured through /proc, stopped by their own id.
// Called by routed.ts and its parts. Promises: whatever was started is ended when the bench ends, also by a signal; CPU time
// counts all threads of the process.
import { readdirSync, readFileSync } from 'node:fs';

/** A process that can be loaded with calls. */
export interface Target {
  readonly name: string;
  readonly pid: number;
  /** Where the calls go. */
  readonly url: string;
  /** When it was started, by performance.now(). */
  readonly startedMs: number;
  /** Ends it as a service manager would; resolves to how long that took, in ms. */
  stop(): Promise<number>;
}

/** How to start a process beyond its command. */
export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

const started = new Set<Bun.Subprocess>();
process.once('exit', () => {
  for (const child of started) for (const pid of treeOf(child.pid)) end(pid);
});
// A signal alone would end this process without its 'exit'.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, () => process.exit(code));

/** Ends a process that we started, or that one of ours did, if it is still there. */
function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/** How a process says that it is ready: on which stream, and the URL or port that a line gives (null: not this line). */
export interface ReadyLine {
  readonly stream: 'stdout' | 'stderr';
  read(line: string): string | null;
}

/** Of a process that says nothing: ready when something listens on the port. */
export interface ReadyPort {
  readonly port: number;
  readonly url: string;
}

const READY_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 5_000;

/** Starts a process and waits for its word. Throws with what it printed when it ends or stays silent. */
export async function startTarget(
  name: string,
  command: readonly string[],
  ready: ReadyLine | ReadyPort,
  options: StartOptions = {},
): Promise<Target> {
  const startedMs = performance.now();
  const child = Bun.spawn([...command], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    env: { ...process.env, ...options.env },
    ...(options.cwd !== undefined && { cwd: options.cwd }),
  });
  started.add(child);
  const printed: string[] = [];
  const url = await new Promise<string>((resolve, reject) => {
    const give = (why: string): void => reject(new Error(`${name} ${why}:\n${printed.join('\n')}`));
    const timer = setTimeout(() => give(`was not ready within ${READY_WITHIN_MS} ms`), READY_WITHIN_MS);
    void child.exited.then((code) => give(`ended with code ${code}`));
    const watch = async (stream: 'stdout' | 'stderr'): Promise<void> => {
      for await (const line of linesOf(child[stream])) {
        if (printed.length < 200) printed.push(line);
        const found = 'stream' in ready && stream === ready.stream ? ready.read(line) : null;
        if (found !== null) {
          clearTimeout(timer);
          resolve(found);
        }
      }
    };
    void watch('stdout');
    void watch('stderr');
    if ('port' in ready)
      void untilListening(child, ready.port).then(() => {
        clearTimeout(timer);
        resolve(ready.url);
      });
  }).catch(async (error: unknown) => {
    await stop(child);
    throw error;
  });
  return { name, pid: child.pid, url, startedMs, stop: () => stop(child) };
}

const POLL_MS = 5;

/** Tries to connect until it works or the process has ended. */
async function untilListening(child: Bun.Subprocess, port: number): Promise<void> {
  while (child.exitCode === null) {
    const socket = await Bun.connect({
      hostname: '127.0.0.1',
      port,
      socket: { data: () => undefined },
    }).catch(() => null);
    socket?.end();
    if (socket !== null) return;
    await Bun.sleep(POLL_MS);
  }
}

async function stop(child: Bun.Subprocess): Promise<number> {
  const family = treeOf(child.pid).map((pid) => [pid, commandOf(pid)] as const);
  const fromMs = performance.now();
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
  await child.exited;
  const tookMs = performance.now() - fromMs;
  clearTimeout(timer);
  started.delete(child);
  // Some gateways leave their servers behind. An id that is used anew belongs to another command.
  for (const [pid, command] of family) if (command !== '' && commandOf(pid) === command) end(pid);
  return tookMs;
}

/** The lines of a stream as they come. */
export async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}

/** Clock ticks per second of /proc on Linux, whatever the kernel's own rate. */
const TICKS_PER_SECOND = 100;

/** CPU time that a process has used in all its threads, user and system, in ms; to the nearest 10. */
export function cpuMs(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // fields are counted behind the name, which may hold blanks: utime and stime are the 12th and 13th from there
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

/** Resident memory of a process, in MB. */
export function residentMb(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1] ?? Number.NaN) / 1024;
}

/** A TCP port on loopback that is free now. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

/** Where a program lies, or null. */
export function which(program: string): string | null {
  return Bun.which(program, { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin` });
}

/** Ids of a process and of all that descend from it, itself first. */
export function treeOf(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = readProc(`/proc/${entry}/stat`);
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  const tree = [pid];
  for (let at = 0; at < tree.length; at++) tree.push(...(children.get(tree[at] ?? 0) ?? []));
  return tree;
}

/** What a process was started with, its arguments parted by blanks; empty when it is gone. */
export function commandOf(pid: number): string {
  return readProc(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // It ended in the meantime.
    return '';
  }
}

/** CPU time and memory of a gateway: all its processes but the MCP servers that it started. */
export function treeUse(
  pid: number,
  isServer: (command: string) => boolean,
): { cpuMs: number; residentMb: number } {
  let cpu = 0;
  let resident = 0;
  for (const one of treeOf(pid)) {
    if (isServer(commandOf(one))) continue;
    try {
      cpu += cpuMs(one);
      resident += residentMb(one) || 0;
    } catch {
      // It ended in the meantime.
    }
  }
  return { cpuMs: cpu, residentMb: resident };
}
