// Child processes on node:child_process, each in a session and process group of its own.
// Called by node.ts only. Promises: a write to stdin is one system call where the pipe allows; onExit comes last and once,
// after the output; when the leader of a group has ended, the rest of the group is ended too; the reaper knows
// the group until it is gone.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { GatewayError } from '../base/errors.ts';
import { isExecutable } from './executable.ts';
import { endGroup, type GroupSignal, signalGroup } from './process-group.ts';
import type { Reaper } from './reaper.ts';
import type { Child, ChildHandler, SpawnOptions } from './runtime.ts';

/** Output still open this long after the group's end is held by a process that left the group: it is not waited for. */
const OUTPUT_GRACE_MS = 500;

class NodeChild implements Child {
  readonly pid: number;
  private readonly process: ChildProcessWithoutNullStreams;
  private readonly handler: ChildHandler;
  private stdinOpen = true;
  private full = false;

  constructor(process: ChildProcessWithoutNullStreams, pid: number, handler: ChildHandler) {
    this.process = process;
    this.pid = pid;
    this.handler = handler;
    process.stdin.on('error', this.stdinGone);
  }

  write(bytes: Uint8Array): boolean {
    if (!this.stdinOpen) return true;
    const { stdin } = this.process;
    // Node keeps what the pipe does not take, so it must be nobody else's.
    stdin.write(Buffer.from(bytes), this.written);
    if (stdin.writableLength > 0) this.full = true;
    return !this.full;
  }

  private readonly written = (): void => {
    if (!this.full || this.process.stdin.writableLength > 0) return;
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
    this.process.stdin.end();
  }

  kill(signal: GroupSignal): void {
    signalGroup(this.pid, signal);
  }

  /** No more stdin once the process has ended. */
  over(): void {
    this.stdinGone();
    this.process.stdin.destroy();
  }
}

/** Starts a child; throws GW_UPSTREAM_SPAWN when the program cannot be started. */
export function spawnOnNode(options: SpawnOptions, handler: ChildHandler, reaper: Reaper): Child {
  const started = start(options);
  const { pid } = started;
  if (pid === undefined) throw new GatewayError('GW_UPSTREAM_SPAWN', spawnFault(options));
  reaper.add(pid);
  const child = new NodeChild(started, pid, handler);
  let open = 3;
  const oneEnded = (): void => {
    if (--open > 0) return;
    handler.onExit(started.exitCode, started.signalCode);
  };
  started.stdout.on('data', (bytes: Buffer) => handler.onStdout(bytes));
  started.stderr.on('data', (bytes: Buffer) => handler.onStderr(bytes));
  for (const stream of [started.stdout, started.stderr]) {
    stream.on('error', () => undefined);
    stream.once('close', oneEnded);
  }
  started.once('exit', () => {
    child.over();
    endGroup(pid, () => {
      reaper.remove(pid);
      setTimeout(() => {
        started.stdout.destroy();
        started.stderr.destroy();
      }, OUTPUT_GRACE_MS).unref();
    });
    oneEnded();
  });
  return child;
}

function start(options: SpawnOptions): ChildProcessWithoutNullStreams {
  try {
    const started = spawn(options.command, [...options.args], {
      env: { ...options.env },
      stdio: 'pipe',
      detached: true,
      ...(options.cwd !== null && { cwd: options.cwd }),
    });
    // Node tells in a later turn what it knows now: that there is no process id.
    started.on('error', () => undefined);
    return started;
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new GatewayError('GW_UPSTREAM_SPAWN', `${JSON.stringify(options.command)}: ${reason}`, thrown);
  }
}

/** Why there is no process, as far as the files tell: what Node knows it says only later. */
function spawnFault(options: SpawnOptions): string {
  const command = JSON.stringify(options.command);
  if (options.cwd !== null && !existsSync(options.cwd)) {
    return `the working directory ${JSON.stringify(options.cwd)} does not exist`;
  }
  const file = programFile(options);
  if (file === null) return `the command ${command} was not found: install it or give its full path`;
  if (!isExecutable(file))
    return `the file ${command} may not be executed: check that it is a program and its mode`;
  return `${command}: the system refuses to start it: check its limits of processes and memory`;
}

/** The file that a command means, null when there is none. */
function programFile({ command, cwd, env }: SpawnOptions): string | null {
  const here = cwd ?? process.cwd();
  const places = command.includes('/') ? [''] : (env.PATH ?? '/usr/bin:/bin').split(':');
  const files = places.map((place) => (isAbsolute(command) ? command : resolve(here, place, command)));
  return files.find((file) => existsSync(file)) ?? null;
}
