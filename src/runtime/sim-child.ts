// Scripted child processes for the simulated runtime.
// Called by sim.ts. Promises: the child contract of runtime.ts; a program is a function that gets the child's side of the
// pipes and says who hears of its events; it ends only when it exits or is killed.
import { GatewayError } from '../base/errors.ts';
import type { Child, ChildHandler, Clock, SpawnOptions } from './runtime.ts';

/** The child's side, in the hands of a scripted program. */
export interface ProgramIo {
  readonly options: SpawnOptions;
  readonly clock: Clock;
  stdout(bytes: Uint8Array): void;
  stderr(bytes: Uint8Array): void;
  exit(code: number): void;
  /** Says how much memory it holds from now on. */
  holdMemory(bytes: number): void;
  /** Stops and resumes reading stdin: what the gateway writes meanwhile fills the pipe. */
  pauseStdin(): void;
  resumeStdin(): void;
}

/** What a scripted program does; signals that it does not handle end it, and SIGKILL always does. */
export interface ProgramEvents {
  onStdin(bytes: Uint8Array): void;
  onStdinEnd(): void;
  /** True when the program lives on. */
  onSignal?(signal: string): boolean;
}

/** Starts a scripted program. */
export type Program = (io: ProgramIo) => ProgramEvents;

/** The pieces in which bytes come out of a pipe. */
export type Cut = (bytes: Uint8Array) => readonly Uint8Array[];

/** Bytes in a pipe before write() returns false. */
const PIPE_BYTES = 64 * 1024;
/** Time from a write to its reading. */
const PIPE_MS = 0.1;

class SimChild implements Child {
  readonly pid: number;
  memoryBytes = 0;
  private readonly clock: Clock;
  private readonly handler: ChildHandler;
  private readonly program: ProgramEvents;
  private readonly cut: Cut;
  private readonly inbox: Uint8Array[] = [];
  private inboxBytes = 0;
  alive = true;
  private paused = false;
  private stdinClosed = false;
  private stdinEndGiven = false;
  private full = false;

  constructor(
    pid: number,
    clock: Clock,
    handler: ChildHandler,
    start: { readonly options: SpawnOptions; readonly program: Program; readonly cut: Cut },
  ) {
    const { cut } = start;
    this.pid = pid;
    this.clock = clock;
    this.handler = handler;
    this.cut = cut;
    this.program = start.program({
      options: start.options,
      clock,
      stdout: (bytes) => {
        for (const piece of cut(bytes)) this.output(() => handler.onStdout(piece));
      },
      stderr: (bytes) => {
        for (const piece of cut(bytes)) this.output(() => handler.onStderr(piece));
      },
      exit: (code) => this.die(code, null),
      holdMemory: (bytes) => {
        this.memoryBytes = bytes;
      },
      pauseStdin: () => {
        this.paused = true;
      },
      resumeStdin: () => {
        this.paused = false;
        clock.soon(() => this.deliver());
      },
    });
  }

  write(bytes: Uint8Array): boolean {
    if (!this.alive || this.stdinClosed) return true;
    this.inbox.push(...this.cut(bytes.slice()));
    this.inboxBytes += bytes.length;
    this.clock.after(PIPE_MS, () => this.deliver());
    if (this.inboxBytes > PIPE_BYTES) this.full = true;
    return !this.full;
  }

  closeStdin(): void {
    if (this.stdinClosed) return;
    this.stdinClosed = true;
    this.clock.after(PIPE_MS, () => this.deliver());
  }

  kill(signal: 'SIGTERM' | 'SIGKILL' | 'SIGINT'): void {
    this.clock.after(PIPE_MS, () => {
      if (!this.alive) return;
      if (signal !== 'SIGKILL' && this.program.onSignal?.(signal) === true) return;
      this.die(null, signal);
    });
  }

  private output(give: () => void): void {
    if (this.alive) this.clock.after(PIPE_MS, give);
  }

  /** The end comes to the handler after all output, which took the same way. */
  private die(code: number | null, signal: string | null): void {
    if (!this.alive) return;
    this.alive = false;
    this.clock.after(PIPE_MS, () => this.handler.onExit(code, signal));
  }

  private deliver(): void {
    while (this.alive && !this.paused) {
      const bytes = this.inbox.shift();
      if (bytes === undefined) break;
      this.inboxBytes -= bytes.length;
      this.program.onStdin(bytes);
    }
    if (!this.alive || this.paused) return;
    if (this.full) {
      this.full = false;
      this.clock.soon(() => {
        if (this.alive && !this.stdinClosed) this.handler.onDrain();
      });
    }
    if (!this.stdinClosed || this.stdinEndGiven) return;
    this.stdinEndGiven = true;
    this.program.onStdinEnd();
  }
}

/** The programs of a sim. */
export class Programs {
  private readonly clock: Clock;
  private readonly cut: Cut;
  private readonly programs = new Map<string, Program>();
  private readonly children = new Map<number, SimChild>();
  private lastPid = 1000;

  constructor(clock: Clock, cut: Cut) {
    this.clock = clock;
    this.cut = cut;
  }

  /** Processes that are alive. */
  get alive(): number {
    let count = 0;
    for (const child of this.children.values()) if (child.alive) count++;
    return count;
  }

  /** Makes a command known. */
  register(command: string, program: Program): void {
    this.programs.set(command, program);
  }

  spawn(options: SpawnOptions, handler: ChildHandler): Child {
    const program = this.programs.get(options.command);
    if (program === undefined) {
      throw new GatewayError(
        'GW_UPSTREAM_SPAWN',
        `the command ${JSON.stringify(options.command)} was not found`,
      );
    }
    const child = new SimChild(++this.lastPid, this.clock, handler, {
      options,
      program,
      cut: this.cut,
    });
    this.children.set(child.pid, child);
    return child;
  }

  /** What those of these children hold that are alive. */
  memoryOf(pids: readonly number[]): ReadonlyMap<number, number> {
    const held = new Map<number, number>();
    for (const pid of pids) {
      const child = this.children.get(pid);
      if (child?.alive === true) held.set(pid, child.memoryBytes);
      else this.children.delete(pid);
    }
    return held;
  }
}
