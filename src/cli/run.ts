// `sluice run -- COMMAND …`: one stdio server on HTTP, without a configuration.
// Called by program.ts. Promises: the command gets the whole environment and the working directory, as from a shell.
import { check } from '../control/check.ts';
import { anchorPaths } from '../control/material.ts';
import { found } from '../control/problem.ts';
import { SERVER_NAME, SERVER_NAME_RULE } from '../control/server-schema.ts';
import type { Level } from '../observe/log.ts';
import { prepare } from './configure.ts';
import { serveUntilStopped } from './lifecycle.ts';
import { EXIT, type World } from './world.ts';

/** Options as the command line gives them. */
export interface RunOptions {
  readonly host: string;
  readonly port: number;
  readonly admin?: boolean;
  readonly adminPort?: number;
  readonly workers?: number | 'auto';
  readonly name?: string;
  readonly log?: Level;
}

/** Runs the command; resolves to the exit code. */
export async function run(world: World, command: readonly string[], options: RunOptions): Promise<number> {
  const [program = '', ...args] = command;
  const name = options.name ?? serverName(command);
  if (!SERVER_NAME.test(name)) {
    world.err(`sluice: cannot use --name: found ${found(name, ['name'])}; allowed: ${SERVER_NAME_RULE}\n`);
    return EXIT.usage;
  }
  const server = { command: program, args, cwd: world.cwd, inheritEnv: Object.keys(world.env) };
  const value = { listen: { host: options.host, port: options.port }, servers: { [name]: server } };
  const checked = check(value, value, new Set());
  if (!checked.ok) {
    for (const flaw of checked.flaws)
      world.err(`sluice: cannot run the command: ${flaw.path.at(-1)}: ${flaw.detail}\n`);
    return EXIT.usage;
  }
  const config = anchorPaths(checked.config, world.cwd);
  const ready = prepare(world, { config, material: new Map() }, options);
  // The sessions of a process end with it: keys that outlive it would open nothing.
  return ready === null ? EXIT.usage : serveUntilStopped(world, { ...ready, dataDir: null, welcome: false });
}

/** Programs that start another one: their first argument that is no option says more. */
const STARTERS = /^(?:npx|bunx|bun|node|deno|uvx|uv|python[0-9.]*|pnpm|yarn|npm|docker|exec|run|dlx|x|tool)$/;

/** A name for a server from its command: `npx -y @scope/server-files .` is `server-files`. */
export function serverName(command: readonly string[]): string {
  const words = command.filter((word) => !word.startsWith('-'));
  const chosen = words.find((word) => !STARTERS.test(baseName(word))) ?? words[0] ?? '';
  const name = baseName(chosen)
    .replace(/(?<=.)@.*$/, '')
    .replace(/\.(?:[cm]?[jt]s|py|sh)$/, '')
    .replaceAll(/[^A-Za-z0-9.-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 32);
  return name === '' ? 'server' : name;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\.exe$/, '');
}
