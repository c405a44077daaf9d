// `sluice check`: validates a configuration and prints what it amounts to.
// Called by program.ts; operate/ tells plans in its words. Promises: starts nothing, connects to nothing; secrets are not printed; exit code 2 when refused.
import { type LoadedConfig, loadConfig, type RefusedConfig } from '../control/load.ts';
import { resolvePath } from '../control/place.ts';
import { type Plan, planReload, planRows, type Settings } from '../control/plan.ts';
import { isSecret, type KeyPath, keyText, noteLine } from '../control/problem.ts';
import type { ViewSpec } from '../mcp/view.ts';
import type { Transport } from '../runtime/runtime.ts';
import type { EndpointSpec } from '../snapshot.ts';
import type { ServerSpec } from '../upstream/spec.ts';
import { findConfig, NO_CONFIG, prepare, printProblems, type Ready } from './configure.ts';
import { columns, createPaint, type Paint } from './paint.ts';
import { EXIT, type World } from './world.ts';

/** Options as the command line gives them. */
export interface CheckOptions {
  readonly config?: string;
  /** The configuration that a gateway runs by. */
  readonly against?: string;
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
  const running = options.against === undefined ? null : await runningBy(world, options.against, options);
  if (options.against !== undefined && running === null) return EXIT.usage;
  // What a gateway reloads stands where the file stands that it runs by.
  const place = options.against === undefined ? {} : { place: resolvePath(world.cwd, options.against) };
  const loaded = await loadConfig(world.runtime.files, { ...found, ...place, env: world.env });
  if (!loaded.ok) return refused(world, loaded, options);
  const ready = prepare(world, loaded, {});
  if (ready === null) return EXIT.usage;
  const plan = running === null ? null : planReload(running, ready, world.env).plan;
  const report = { ...describe(found.path, loaded, ready), ...(plan !== null && { plan }) };
  world.out(options.json === true ? json(report) : reportText(report, world.isColourWanted()));
  return EXIT.ok;
}

/** The settings of the file that a gateway runs by; null after the reason was printed. */
async function runningBy(world: World, named: string, options: CheckOptions): Promise<Settings | null> {
  const source = { path: resolvePath(world.cwd, named), shown: named, env: world.env };
  const loaded = await loadConfig(world.runtime.files, source);
  if (loaded.ok) return prepare(world, loaded, {});
  refused(world, loaded, options);
  return null;
}

function refused(world: World, loaded: RefusedConfig, { json: asJson }: CheckOptions): number {
  if (asJson === true) world.out(json(loaded));
  else printProblems(world, loaded);
  return EXIT.usage;
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
    /** What it shows and how, where that is not everything by the rule. */
    readonly view?: ViewSpec;
  }[];
  readonly servers: readonly { readonly name: string; readonly transport: string; readonly target: string }[];
  readonly disabled: readonly string[];
  readonly settings: readonly Setting[];
  readonly notes: readonly string[];
  /** What a gateway would do that runs by another configuration. */
  readonly plan?: Plan;
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
  const endpoint = ({ path, members, prefixed, view }: EndpointSpec) => ({
    path,
    servers: members.map((index) => servers[index]?.name ?? ''),
    prefixed,
    ...(view !== undefined && { view }),
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

/** How names look at an endpoint, and what of its servers it shows. */
function looksText(prefixed: boolean, servers: number, view: ViewSpec | undefined): string {
  const words: string[] = [];
  if (prefixed) words.push('names as server__tool');
  else if (servers > 1)
    words.push('own names; of two alike the first server keeps it, the other is server__tool');
  for (const kind of ['tools', 'prompts', 'resources'] as const) {
    const chosen = view?.[kind];
    if (chosen === undefined) continue;
    const { allow, deny } = chosen;
    const counts = [
      allow === null ? '' : `${allow.length} allowed`,
      deny.length === 0 ? '' : `${deny.length} denied`,
      'rename' in chosen ? countText(chosen.rename, 'renamed') : '',
      'override' in chosen ? countText(chosen.override, 'described anew') : '',
    ].filter((word) => word !== '');
    if (counts.length > 0) words.push(`${kind}: ${counts.join(', ')}`);
  }
  return words.length === 0 ? '' : ` (${words.join('; ')})`;
}

function countText(table: object | undefined, what: string): string {
  const count = Object.keys(table ?? {}).length;
  return count === 0 ? '' : `${count} ${what}`;
}

/** The report for people: what is served where, and the settings that are not the default. */
export function reportText(report: CheckReport, colour: boolean): string {
  const paint = createPaint(colour);
  const rows = report.endpoints.map(({ path, servers, prefixed, view }) => {
    const only = report.servers.find((server) => path === `/mcp/${server.name}`);
    const what =
      only === undefined
        ? `${servers.join(', ')}${looksText(prefixed, servers.length, view)}`
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
    report.plan === undefined ? '' : planText(report.plan, paint),
    report.notes.length === 0 ? '' : `\nNotes:\n${report.notes.map((note) => `  ${note}\n`).join('')}`,
  ].join('');
}

/** What planRows() of control/plan.ts tells, in words. */
export const PLAN_WORDS: Readonly<Record<string, string>> = {
  starts: 'starts',
  stops: 'stops',
  changes: 'changes',
  applies: 'takes up',
  waits: 'waits for a restart',
};

/** What a reload would do. */
function planText(plan: Plan, paint: Paint): string {
  const rows = planRows(plan).map(([what, whom]) => [
    `  ${paint.accent(PLAN_WORDS[what] ?? what)}`,
    whom.join(', '),
  ]);
  return rows.length === 0 ? '\nA reload would change nothing\n' : `\nA reload:\n${columns(rows)}`;
}
