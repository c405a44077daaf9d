// Child processes on Bun.spawn, each in a session and process group of its own.
// Called by bun.ts only. Promises: a write to stdin is one system call where the pipe allows; onExit comes last and once,
// after the output; when the leader of a group has ended, the rest of the group is ended too; the reaper knows
// the group until it is gone.
import { existsSync } from 'node:fs';
import { GatewayError } from '../base/errors.ts';
import { endGroup, type GroupSignal, signalGroup } from './process-group.ts';
import type { Reaper } from './reaper.ts';
import type { Child, ChildHandler, SpawnOptions } from './runtime.ts';
import { surface } from './surface.ts';

type Process = Bun.Subprocess<'pipe', 'pipe', 'pipe'>;

/** Output still open this long after the group's end is held by a process that left the group: it is not waited for. */
const OUTPUT_GRACE_MS = 500;

class BunChild implements Child {
  readonly pid: number;
  private readonly process: Process;
  private readonly handler: ChildHandler;
  private stdinOpen = true;
  private full = false;

  constructor(process: Process, handler: ChildHandler) {
    this.process = process;
    this.pid = process.pid;
    this.handler = handler;
  }

  write(bytes: Uint8Array): boolean {
    if (!this.stdinOpen) return true;
    try {
      return this.send(bytes);
    } catch {
      // Between the child's death and the news of it Bun throws EPIPE here, or rejects, as it happens to find the pipe.
      this.stdinGone();
      return true;
    }
  }

  private send(bytes: Uint8Array): boolean {
    const { stdin } = this.process;
    // Bun answers with a promise when the pipe is full; what was written before is then kept in a buffer of its own.
    const written = stdin.write(bytes);
    const flushed = stdin.flush();
    if (written instanceof Promise) written.catch(this.stdinGone);
    if (!(flushed instanceof Promise)) return !this.full;
    if (!this.full) {
      this.full = true;
      flushed.then(this.drained, this.stdinGone);
    }
    return false;
  }

  private readonly drained = (): void => {
    this.full = false;
    if (this.stdinOpen) this.handler.onDrain();
  };

  /** The child closed its stdin: what is written from now on has no reader. Its end, if any, comes through onExit. */
  private readonly stdinGone = (): void => {
    this.full = false;
    this.stdinOpen = false;
  };

  closeStdin(): void {
    if (!this.stdinOpen) return;
    this.stdinOpen = false;
    try {
      const ended = this.process.stdin.end();
      if (ended instanceof Promise) ended.catch(() => undefined);
    } catch {
      // The pipe broke before it could be closed: it is closed all the same.
    }
  }

  kill(signal: GroupSignal): void {
    signalGroup(this.pid, signal);
  }

  /** No more stdin once the process has ended. */
  over(): void {
    this.closeStdin();
  }
}

/** Hands every chunk over until the stream ends; the returned function stops that early. */
function deliver(
  stream: ReadableStream<Uint8Array>,
  give: (bytes: Uint8Array) => void,
  ended: () => void,
): () => void {
  const reader = stream.getReader();
  const next = (): void => {
    reader.read().then(
      ({ done, value }) => {
        if (done) return ended();
        try {
          give(value);
        } catch (thrown) {
          surface(thrown);
        }
        next();
      },
      () => ended(),
    );
  };
  next();
  return () => {
    reader.cancel().catch(() => undefined);
  };
}

/** Starts a child; throws GW_UPSTREAM_SPAWN when the program cannot be started. */
export function spawnOnBun(options: SpawnOptions, handler: ChildHandler, reaper: Reaper): Child {
  const started = start(options);
  reaper.add(started.pid);
  const child = new BunChild(started, handler);
  let open = 3;
  const oneEnded = (): void => {
    if (--open > 0) return;
    const { exitCode, signalCode } = started;
    handler.onExit(exitCode, signalCode === null ? null : String(signalCode));
  };
  const stops = [
    deliver(started.stdout, (bytes) => handler.onStdout(bytes), oneEnded),
    deliver(started.stderr, (bytes) => handler.onStderr(bytes), oneEnded),
  ];
  started.exited.then(() => {
    child.over();
    endGroup(started.pid, () => {
      reaper.remove(started.pid);
      setTimeout(() => {
        if (open > 0) for (const stop of stops) stop();
      }, OUTPUT_GRACE_MS).unref();
    });
    oneEnded();
  }, surface);
  return child;
}

function start(options: SpawnOptions): Process {
  try {
    return Bun.spawn({
      cmd: [options.command, ...options.args],
      env: options.env,
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'pipe',
      detached: true,
      ...(options.cwd !== null && { cwd: options.cwd }),
    });
  } catch (thrown) {
    throw new GatewayError('GW_UPSTREAM_SPAWN', spawnFault(options, thrown), thrown);
  }
}

function spawnFault(options: SpawnOptions, thrown: unknown): string {
  const command = JSON.stringify(options.command);
  if (options.cwd !== null && !existsSync(options.cwd)) {
    return `the working directory ${JSON.stringify(options.cwd)} does not exist`;
  }
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  if (code === 'ENOENT') return `the command ${command} was not found: install it or give its full path`;
  if (code === 'EACCES')
    return `the file ${command} may not be executed: check that it is a program and its mode`;
  return `${command}: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
}
