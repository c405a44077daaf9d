// Processes under load: started, awaited until ready, measured through /proc, stopped by their own id.
// Called by routed.ts and its parts. Promises: whatever was started is ended when the bench ends, also by a signal; CPU time
// counts all threads of the process.
import { readFileSync } from 'node:fs';

/** A process that can be loaded with calls. */
export interface Target {
  readonly name: string;
  readonly pid: number;
  /** Where the calls go. */
  readonly url: string;
  stop(): Promise<void>;
}

const started = new Set<Bun.Subprocess>();
process.once('exit', () => {
  for (const child of started) child.kill('SIGKILL');
});

/** How a process says that it is ready: on which stream, and the URL or port that a line gives (null: not this line). */
export interface Readiness {
  readonly stream: 'stdout' | 'stderr';
  read(line: string): string | null;
}

const READY_WITHIN_MS = 15_000;
const STOP_WITHIN_MS = 5_000;

/** Starts a process and waits for its word. Throws with what it printed when it ends or stays silent. */
export async function startTarget(
  name: string,
  command: readonly string[],
  ready: Readiness,
): Promise<Target> {
  const child = Bun.spawn([...command], { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
  started.add(child);
  const printed: string[] = [];
  const url = await new Promise<string>((resolve, reject) => {
    const give = (why: string): void => reject(new Error(`${name} ${why}:\n${printed.join('\n')}`));
    const timer = setTimeout(() => give(`was not ready within ${READY_WITHIN_MS} ms`), READY_WITHIN_MS);
    void child.exited.then((code) => give(`ended with code ${code}`));
    const watch = async (stream: 'stdout' | 'stderr'): Promise<void> => {
      for await (const line of linesOf(child[stream])) {
        if (printed.length < 200) printed.push(line);
        const found = stream === ready.stream ? ready.read(line) : null;
        if (found !== null) {
          clearTimeout(timer);
          resolve(found);
        }
      }
    };
    void watch('stdout');
    void watch('stderr');
  }).catch(async (error: unknown) => {
    await stop(child);
    throw error;
  });
  return { name, pid: child.pid, url, stop: () => stop(child) };
}

async function stop(child: Bun.Subprocess): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
  await child.exited;
  clearTimeout(timer);
  started.delete(child);
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
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
