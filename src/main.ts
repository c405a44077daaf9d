// The process: arguments → command → exit code.
// Called by bin/sluice (and by examples/start.ts, which adds a demo server). Promises: the only file that reads the arguments
// and the environment, traps signals and sets the exit code; commands get all of it handed in as a World.
import { fstatSync, realpathSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { version } from '../package.json';
import { encode } from './base/bytes.ts';
import { mayColour } from './cli/paint.ts';
import { runProgram } from './cli/program.ts';
import type { World } from './cli/world.ts';
import { createRuntime } from './runtime/create.ts';

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;

/** The world of this process. */
async function processWorld(): Promise<World> {
  const runtime = await createRuntime();
  const { env } = process;
  let onReload: (() => void) | null = null;
  return {
    // Configurations may name the Bun that runs Sluice, which a bare machine has nowhere in its PATH; on Node bin/sluice says where it found one.
    env: runtime.name === 'bun' ? { ...env, SLUICE_BUN: process.execPath } : { ...env },
    cwd: process.cwd(),
    version,
    runtime,
    out: (text) => runtime.standard.writeStdout(encode(text)),
    err: (text) => runtime.standard.writeStderr(encode(text)),
    isColourWanted: () => isTerminal(STDOUT) && mayColour(env),
    isStdinTerminal: () => isTerminal(STDIN),
    async openScreen() {
      if (!isTerminal(STDOUT) || env.TERM === 'dumb') return null;
      const { openScreen } = await import('./cli/screen.ts');
      return openScreen((text) => runtime.standard.writeStdout(encode(text)));
    },
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
  process.exit(await runProgram(args, await processWorld()));
}

/** Whether this is the module that was started: Bun says so, and what Node was given is the first argument, links included. */
function isStarted(): boolean {
  if (typeof process.versions.bun === 'string') return import.meta.main;
  const started = process.argv[1];
  return started !== undefined && realpathSync(started) === fileURLToPath(import.meta.url);
}

if (isStarted()) await main(process.argv.slice(2));
