// The process: arguments → command → exit code.
// Called by bin/sluice (and by examples/start.ts, which adds a demo server). Promises: the only file that reads the arguments
// and the environment, traps signals and sets the exit code; commands get all of it handed in as a World.
import { fstatSync, statSync } from 'node:fs';
import { version } from '../package.json';
import { encode } from './base/bytes.ts';
import { runProgram } from './cli/program.ts';
import type { World } from './cli/world.ts';
import { createBunRuntime } from './runtime/bun.ts';

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;

/** The world of this process. */
function processWorld(): World {
  const runtime = createBunRuntime();
  const { env } = process;
  let onReload: (() => void) | null = null;
  return {
    // Configurations may name the Bun that runs Sluice, which a bare machine has nowhere in its PATH.
    env: { ...env, SLUICE_BUN: process.execPath },
    cwd: process.cwd(),
    version,
    runtime,
    out: (text) => runtime.standard.writeStdout(encode(text)),
    err: (text) => runtime.standard.writeStderr(encode(text)),
    isColourWanted: () => isTerminal(STDOUT) && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb',
    isStdinTerminal: () => isTerminal(STDIN),
    onStopSignal(callback) {
      for (const [name, number] of STOP_SIGNALS) {
        process.on(name, () => {
          if (name === 'SIGHUP' && onReload !== null && !isTerminalGone()) onReload();
          else callback(128 + number);
        });
      }
    },
    onReloadSignal(callback) {
      onReload = callback;
    },
    // performance counts from the start of the process, the shell of bin/sluice aside.
    sinceStartMs: () => Math.round(performance.now()),
  };
}

/** node:tty brings the whole of node:net along, 15 ms: it is loaded only when somebody asks. */
function isTerminal(fd: number): boolean {
  return process.getBuiltinModule('node:tty').isatty(fd);
}

/** A terminal that closes sends SIGHUP as well: the device is still there then, and answers no more. */
function isTerminalGone(): boolean {
  const stderr = fstatSync(STDERR);
  const isDevice = stderr.isCharacterDevice() && stderr.rdev !== statSync('/dev/null').rdev;
  return isDevice && !isTerminal(STDERR);
}

const STOP_SIGNALS = [
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const;

/** Runs one command and ends the process with its exit code. */
export async function main(args: readonly string[]): Promise<void> {
  process.exit(await runProgram(args, processWorld()));
}

if (import.meta.main) await main(process.argv.slice(2));
