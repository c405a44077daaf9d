// `sluice check`: validates a configuration and prints what it amounts to.
// Called by program.ts. Promises: starts nothing, connects to nothing; secrets are not printed; exit code 2 when refused.
import { type LoadedConfig, loadConfig } from '../control/load.ts';
import { isSecret, type KeyPath, keyText, noteLine } from '../control/problem.ts';
import type { Transport } from '../runtime/runtime.ts';
import type { EndpointSpec } from '../snapshot.ts';
import type { ServerSpec } from '../upstream/spec.ts';
import { findConfig, NO_CONFIG, prepare, printProblems, type Ready } from './configure.ts';
import { columns, createPaint } from './paint.ts';
import { EXIT, type World } from './world.ts';

/** Options as the command line gives them. */
export interface CheckOptions {
  readonly config?: string;
  readonly json?: boolean;
}

/** Runs the command; resolves to the exit code. */
export async function check(world: World, options: CheckOptions): Promise<number> {
  const found = await findConfig(world, options.config);
  if (found === null) {
    if (options.json === true) world.out(json({ ok: false, problems: [], message: NO_CONFIG }));
    else world.err(`sluice: ${NO_CONFIG}\n`);
    return EXIT.usage;
  }
  const loaded = await loadConfig(world.runtime.files, { ...found, env: world.env });
  if (!loaded.ok) {
    if (options.json === true) world.out(json(loaded));
    else printProblems(world, loaded);
    return EXIT.usage;
  }
  const ready = prepare(world, loaded, {});
  if (ready === null) return EXIT.usage;
  const report = describe(found.path, loaded, ready);
  world.out(options.json === true ? json(report) : reportText(report, world.isColourWanted()));
  return EXIT.ok;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** What a configuration amounts to, as --json prints it. */
export interface CheckReport {
  readonly ok: true;
  readonly file: string;
  readonly url: string;
  readonly transport: Transport;
  /** Data workers that it would start on this machine. */
  readonly workers: number;
  readonly endpoints: readonly {
    readonly path: string;
    readonly servers: readonly string[];
    readonly prefixed: boolean;
  }[];
  readonly servers: readonly { readonly name: string; readonly transport: string; readonly target: string }[];
  readonly disabled: readonly string[];
  readonly settings: readonly Setting[];
  readonly notes: readonly string[];
}

/** One effective value and who decided it; `line` is 0 for a default. */
export interface Setting {
  readonly key: string;
  readonly value: unknown;
  readonly from: 'default' | 'file' | 'environment';
  readonly line: number;
}

function describe(file: string, loaded: LoadedConfig, ready: Ready): CheckReport {
  const { snapshot } = ready;
  const { listen, servers } = snapshot;
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  const endpoint = ({ path, members, prefixed }: EndpointSpec) => ({
    path,
    servers: members.map((index) => servers[index]?.name ?? ''),
    prefixed,
  });
  return {
    ok: true,
    file,
    url: `${listen.tls === null ? 'http' : 'https'}://${host}:${listen.port}`,
    transport: listen.transport,
    workers: ready.workers,
    endpoints: snapshot.endpoints.map(endpoint),
    servers: servers.map(({ name, target }) => ({
      name,
      transport: target.kind,
      target: targetText(target),
    })),
    disabled: Object.entries(loaded.config.servers).flatMap(([name, server]) =>
      server.disabled ? [name] : [],
    ),
    settings: settingsOf(loaded),
    notes: loaded.notes.map(noteLine),
  };
}

/** Where a server is. Arguments are counted, not shown: tokens are often among them. */
function targetText(target: ServerSpec['target']): string {
  if (target.kind === 'http')
    return target.unixPath === null ? target.url : `${target.url} through ${target.unixPath}`;
  const count = target.args.length;
  return `${target.command}${count === 0 ? '' : ` (and ${count} argument${count === 1 ? '' : 's'})`}`;
}

/** Every effective setting outside the servers, in the schema's order. */
function settingsOf(loaded: LoadedConfig): Setting[] {
  const settings: Setting[] = [];
  const walk = (value: unknown, path: KeyPath): void => {
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
      for (const [key, below] of Object.entries(value))
        if (path.length > 0 || key !== 'servers') walk(below, [...path, key]);
    } else {
      settings.push({
        key: keyText(path),
        value: isSecret(path) ? '(not shown)' : value,
        ...loaded.sourceOf(path),
      });
    }
  };
  walk(loaded.config, []);
  return settings;
}

/** The report for people: what is served where, and the settings that are not the default. */
export function reportText(report: CheckReport, colour: boolean): string {
  const paint = createPaint(colour);
  const rows = report.endpoints.map(({ path, servers, prefixed }) => {
    const only = report.servers.find((server) => path === `/mcp/${server.name}`);
    const what =
      only === undefined
        ? `${servers.join(', ')}${prefixed ? ' (names as server__tool)' : ''}`
        : `${only.transport.padEnd(5)}  ${only.target}`;
    return [`  ${paint.accent(report.url + path)}`, what];
  });
  const changed = report.settings.filter((setting) => setting.from !== 'default');
  const lines = changed.map(({ key, value, from, line }) => [
    `  ${key}`,
    JSON.stringify(value),
    paint.dim(from === 'file' ? `line ${line}` : `line ${line}, from the environment`),
  ]);
  return [
    `${paint.bold(report.file)} is valid\n\n`,
    columns(rows),
    `\nServed by ${report.workers} data worker${report.workers === 1 ? '' : 's'} over ${report.transport}\n`,
    report.disabled.length === 0 ? '' : `\nDisabled: ${report.disabled.join(', ')}\n`,
    lines.length === 0 ? '' : `\nSettings that the file decides:\n${columns(lines)}`,
    report.notes.length === 0 ? '' : `\nNotes:\n${report.notes.map((note) => `  ${note}\n`).join('')}`,
  ].join('');
}
