// What a command needs of the process it runs in.
// Called by main.ts (makes it), every file of cli/ (takes it) and tests (fake it). Promises: no command reads the
// environment, prints or waits for a signal in any other way.
import { LIMITS } from '../base/limits.ts';
import type { Environment } from '../control/references.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Screen } from './screen.ts';

/** Exit codes: 0 done, 1 it failed, 2 the command line or the configuration is wrong. */
export const EXIT = Object.freeze({ ok: 0, failed: 1, usage: 2 });

/** The process as a command sees it. */
export interface World {
  readonly env: Environment;
  /** Absolute path of the working directory. */
  readonly cwd: string;
  readonly version: string;
  readonly runtime: Runtime;
  /** Writes to stdout: results. */
  out(text: string): void;
  /** Writes to stderr: everything else. */
  err(text: string): void;
  /** True when stdout is a terminal that wants colours. */
  isColourWanted(): boolean;
  isStdinTerminal(): boolean;
  /** The terminal of stdout as one page; null when it is none, or cannot do that. */
  openScreen(): Promise<Screen | null>;
  /** Calls back on each SIGINT, SIGTERM or SIGHUP, with the exit code that stands for it. */
  onStopSignal(callback: (exitCode: number) => void): void;
  /** From now on SIGHUP asks for a reload instead, unless it says that the terminal is gone. */
  onReloadSignal(callback: () => void): void;
  /** Milliseconds since the process began, whole. */
  sinceStartMs(): number;
}

/** Number of data workers that a setting means on this machine. */
export function workersWanted(world: World, asked: number | 'auto'): number {
  return asked === 'auto' ? Math.min(world.runtime.parallelism, LIMITS.workersMax) : asked;
}
