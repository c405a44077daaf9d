// Finds, loads and compiles the configuration of a command.
// Called by serve, stdio and check. Promises: prints every problem on stderr before it gives up; the order in which
// files are looked for is written here and in docs/config.md.
import { check } from '../control/check.ts';
import { compile } from '../control/compile.ts';
import { type LoadedConfig, loadConfig, type RefusedConfig } from '../control/load.ts';
import { anchorPaths } from '../control/material.ts';
import { resolvePath } from '../control/place.ts';
import type { Settings, Wanted } from '../control/plan.ts';
import { noteLine, problemLine } from '../control/problem.ts';
import { hasRegistry } from '../control/registry/place.ts';
import { type Config, SOCKETS_RULE, speaksMore } from '../control/schema.ts';
import type { Level } from '../observe/log.ts';
import type { Transport } from '../runtime/runtime.ts';
import { isScanPreference } from '../scan/preference.ts';
import { refusalOnNode, workersOnNode } from './on-node.ts';
import { mayColour } from './paint.ts';
import { type World, workersWanted } from './world.ts';

/** Names looked for in the working directory, in this order. */
const LOCAL_NAMES = [
  'sluice.yaml',
  'sluice.yml',
  'sluice.json',
  'sluice.jsonc',
  'sluice.toml',
  '.mcp.json',
  'mcp.json',
];
/** Names looked for in ~/.config/sluice, in this order. */
const HOME_NAMES = ['sluice.yaml', 'sluice.yml', 'sluice.json', 'sluice.jsonc', 'sluice.toml', 'mcp.json'];

/** A file that was found: absolute, and as messages call it. */
export interface FoundConfig {
  readonly path: string;
  readonly shown: string;
}

/** The file to use: the one named, else the first that exists; null when there is none. */
export async function findConfig(world: World, named: string | undefined): Promise<FoundConfig | null> {
  if (named !== undefined) return { path: resolvePath(world.cwd, named), shown: named };
  for (const name of LOCAL_NAMES) {
    const path = resolvePath(world.cwd, name);
    if (await world.runtime.files.exists(path)) return { path, shown: name };
  }
  const base = homeConfig(world);
  if (base === null) return null;
  for (const name of HOME_NAMES) {
    const path = `${base}/${name}`;
    if (await world.runtime.files.exists(path)) return { path, shown: path };
  }
  return null;
}

/** Directory of the user's own configuration (XDG Base Directory Specification), or null without a home. */
function homeConfig(world: World): string | null {
  const { XDG_CONFIG_HOME: xdg, HOME: home } = world.env;
  if (xdg?.startsWith('/') === true) return `${xdg}/sluice`;
  return home === undefined || home === '' ? null : `${home}/.config/sluice`;
}

/** Directory for what the gateway keeps (XDG Base Directory Specification), or null without a home. */
export function homeState(world: World): string | null {
  const { XDG_STATE_HOME: xdg, HOME: home } = world.env;
  if (xdg?.startsWith('/') === true) return `${xdg}/sluice`;
  return home === undefined || home === '' ? null : `${home}/.local/state/sluice`;
}

/** Said when there is no configuration. */
export const NO_CONFIG = `cannot find a configuration here (${LOCAL_NAMES.join(', ')}) or in ~/.config/sluice
Make one: write sluice.yaml with the lines
  servers:
    files: { command: npx, args: [-y, "@modelcontextprotocol/server-filesystem", "."] }
or name the mcpServers file of a client you have: --config ~/.cursor/mcp.json
or begin without servers and add them while it runs: write sluice.yaml with the line  servers: {}`;

/** The configuration of a gateway that has none but its registry: every default. Null: there is no registry in the user's data directory. */
export async function loadNothing(world: World): Promise<Wanted | null> {
  const dataDir = homeState(world);
  if (dataDir === null || !(await hasRegistry(world.runtime.files, dataDir))) return null;
  const nothing = { servers: {} };
  const checked = check(nothing, nothing, new Set());
  if (!checked.ok) return null;
  world.err(`note: no configuration file: the servers of the registry in ${dataDir} are served\n`);
  return { config: anchorPaths(checked.config, world.cwd), material: new Map() };
}

/** A configuration, and the file that it is from. */
export interface NamedConfig extends LoadedConfig {
  readonly found: FoundConfig;
}

/** Loads what was found, or finds it by its name; null after the reason was printed (then the exit code is 2). */
export async function loadNamed(
  world: World,
  named: string | FoundConfig | null | undefined,
): Promise<NamedConfig | null> {
  const found = typeof named === 'object' ? named : await findConfig(world, named);
  if (found === null) {
    world.err(`sluice: ${NO_CONFIG}\n`);
    return null;
  }
  const loaded = await loadConfig(world.runtime.files, { ...found, env: world.env });
  if (!loaded.ok) {
    printProblems(world, loaded);
    return null;
  }
  for (const note of loaded.notes) world.err(`note: ${noteLine(note)}\n`);
  return { ...loaded, found };
}

/** Prints every problem, one a line. */
export function printProblems(world: World, refused: RefusedConfig): void {
  for (const problem of refused.problems) world.err(`${problemLine(problem)}\n`);
  const count = refused.problems.length;
  world.err(`sluice: the configuration is refused: ${count} problem${count === 1 ? '' : 's'}\n`);
}

/** What the command line says instead of the file. */
export interface Overrides {
  /** The command serves a registry too: the file may have no servers. */
  readonly hasRegistry?: boolean;
  readonly host?: string;
  readonly port?: number;
  readonly transport?: Transport;
  /** False: no admin listener. */
  readonly admin?: boolean;
  readonly adminPort?: number;
  readonly workers?: Config['workers'];
  readonly log?: Level;
}

/** A configuration that is ready to serve, what the command line says included. */
export interface Ready extends Settings {
  readonly level: Level;
  readonly scan: Config['scan'];
  /** Data workers to start. */
  readonly workers: number;
  /** Where data is kept; null: nowhere. */
  readonly dataDir: string | null;
}

/** Compiles a configuration under the overrides; null after the reason was told (then the exit code is 2), which is printed unless told otherwise. */
export function prepare(
  world: World,
  loaded: Wanted,
  overrides: Overrides,
  tell: (reason: string) => void = (reason) => world.err(`sluice: ${reason}\n`),
): Ready | null {
  const { material } = loaded;
  const { log = loaded.config.log.level, host, port, transport } = overrides;
  const listen = {
    ...loaded.config.listen,
    ...(host !== undefined && { host }),
    ...(port !== undefined && { port }),
    ...(transport !== undefined && { transport }),
  };
  if (listen.transport === 'sockets' && speaksMore(listen)) {
    tell(`cannot use --transport sockets here; allowed: uwebsockets, ${SOCKETS_RULE}`);
    return null;
  }
  const asked = overrides.workers ?? loaded.config.workers;
  const admin = adminUnder(loaded.config.admin, overrides);
  const config: Config = {
    ...loaded.config,
    listen,
    admin,
    workers: asked,
    log: logOf(world, loaded.config, log),
  };
  const isOnNode = world.runtime.name === 'node';
  const refused = isOnNode ? refusalOnNode(config) : null;
  if (refused !== null) {
    tell(refused);
    return null;
  }
  const wanted = workersWanted(world, asked);
  const workers = isOnNode && asked === 'auto' ? workersOnNode(listen, wanted) : wanted;
  const scan = scanPreference(world, config.scan, tell);
  if (scan === null) return null;
  const snapshot = compile({ config, material, env: world.env, epoch: 1 });
  const mayBeEmpty = overrides.hasRegistry === true && config.registry.enabled;
  if (snapshot.servers.length === 0 && !mayBeEmpty) {
    const isNone = Object.keys(config.servers).length === 0;
    tell(
      `cannot serve: ${isNone ? 'the configuration has no server' : 'every server of the configuration is disabled'}`,
    );
    return null;
  }
  const dataDir = config.dataDir ?? homeState(world);
  return { config, material, snapshot, level: log, scan, workers, dataDir };
}

function adminUnder(configured: Config['admin'], { admin = true, adminPort }: Overrides): Config['admin'] {
  return {
    ...configured,
    enabled: configured.enabled && admin,
    ...(adminPort !== undefined && { port: adminPort }),
  };
}

/** How it is logged: what is to be found out is known from here on. */
function logOf(world: World, { log }: Config, level: Level): Config['log'] {
  const { env, runtime } = world;
  const found = runtime.standard.stderrIsTerminal ? 'pretty' : 'json';
  const format = log.format === 'auto' ? found : log.format;
  return { ...log, level, format: format === 'pretty' && !mayColour(env) ? 'plain' : format };
}

function scanPreference(
  world: World,
  configured: Config['scan'],
  tell: (reason: string) => void,
): Config['scan'] | null {
  const asked = world.env.SLUICE_SCAN ?? '';
  if (asked === '') return configured;
  if (isScanPreference(asked)) return asked;
  tell(`cannot use SLUICE_SCAN: found '${asked}'; allowed: auto, addon, portable`);
  return null;
}

/** The configuration of a file as it is now, under the same overrides; or every reason why it cannot be served, one a line as `sluice check` prints them. */
export async function loadAgain(
  world: World,
  { found, overrides }: { readonly found: FoundConfig; readonly overrides: Overrides },
): Promise<Wanted | readonly string[]> {
  const loaded = await loadConfig(world.runtime.files, { ...found, env: world.env });
  if (!loaded.ok) return loaded.problems.map(problemLine);
  const reasons: string[] = [];
  return prepare(world, loaded, overrides, (reason) => reasons.push(reason)) ?? reasons;
}
