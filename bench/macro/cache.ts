// Where peers are installed: a folder of the user's cache, never the repository; and how their installers are run.
// Called by the peer files. Promises: what is there is not asked for again; an installer runs at the lowest priority, is bounded in time, and tells
// on stderr what it does while it does it.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { linesOf } from './target.ts';

/** The folder of everything that benches install or compile: $XDG_CACHE_HOME/sluice-bench, or ~/.cache/sluice-bench. */
export function cacheFolder(): string {
  const given = process.env.XDG_CACHE_HOME ?? '';
  return join(given === '' ? join(homedir(), '.cache') : given, 'sluice-bench');
}

/** A place in that folder. */
export function cached(...names: string[]): string {
  return join(cacheFolder(), ...names);
}

/** One step of an installation. */
export interface InstallStep {
  /** For example `mcp-proxy 0.6.0 (Rust)`. */
  readonly who: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly minutesMax: number;
}

const HEARTBEAT_MS = 15_000;
const TOLD_MAX = 12;

/** Runs it; throws with the last lines that it printed when it fails. */
export async function runStep(step: InstallStep): Promise<void> {
  const say = (text: string): void => console.error(`  [${step.who}] ${text}`);
  const [program = ''] = step.command;
  if (Bun.which(program) === null) throw new Error(`${program} is not installed`);
  say(`${step.command.join(' ').slice(0, 160)} (at most ${step.minutesMax} min)`);
  mkdirSync(cacheFolder(), { recursive: true });
  const from = performance.now();
  const nice = Bun.which('nice');
  const child = Bun.spawn(nice === null ? [...step.command] : [nice, '-n', '19', ...step.command], {
    cwd: step.cwd ?? cacheFolder(),
    env: { ...process.env, ...step.env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: step.minutesMax * 60_000,
  });
  const told: string[] = [];
  const read = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    for await (const line of linesOf(stream)) {
      if (line.trim() === '') continue;
      told.push(line);
      if (told.length > TOLD_MAX) told.shift();
    }
  };
  const seconds = (): string => `${Math.round((performance.now() - from) / 1000)} s`;
  const beat = setInterval(
    () => say(`${seconds()}: ${told.at(-1) ?? 'at work'}`.slice(0, 160)),
    HEARTBEAT_MS,
  );
  await Promise.all([read(child.stdout), read(child.stderr)]);
  const code = await child.exited;
  clearInterval(beat);
  if (child.signalCode !== null) throw new Error(`ended after ${seconds()} (${child.signalCode})`);
  if (code !== 0) throw new Error(`${program} ended with code ${code}: ${told.slice(-4).join(' | ')}`);
  say(`done in ${seconds()}`);
}

/** Does `work` once for a folder: the folder is marked when all of it went well, and removed when it did not. */
export async function installOnce(folder: string, work: () => Promise<void>): Promise<void> {
  if (isInstalled(folder)) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  try {
    await work();
    writeFileSync(join(folder, MARK), `${new Date().toISOString()}\n`);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** True when installOnce() has finished in this folder. */
export function isInstalled(folder: string): boolean {
  return existsSync(join(folder, MARK));
}

const MARK = '.installed';
