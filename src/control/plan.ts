// What another configuration means for a gateway that runs: what starts, what stops, what changes, and what has to wait for a restart.
// Called by reload.ts, and by cli/check.ts, which shows it beforehand. Promises: pure; names keys and servers, never values; what has to wait stays as it was
// in the settings that come of it.

import type { Snapshot } from '../snapshot.ts';
import { isSameServer, placesByName, type ServerSpec } from '../upstream/spec.ts';
import { compile } from './compile.ts';
import { type KeyPath, keyText } from './problem.ts';
import type { Environment } from './references.ts';
import type { Config } from './schema.ts';
import type { ServerConfig } from './server-schema.ts';

/** A configuration that may be compiled. */
export interface Wanted {
  readonly config: Config;
  /** PEM texts by absolute path. */
  readonly material: ReadonlyMap<string, string>;
}

/** What a gateway runs by. */
export interface Settings extends Wanted {
  readonly snapshot: Snapshot;
}

/** What a reload does. Servers by name, keys as people write them. */
export interface Plan {
  readonly starts: readonly string[];
  readonly stops: readonly string[];
  readonly changes: readonly { readonly server: string; readonly keys: readonly string[] }[];
  /** Keys outside the servers that are taken up. */
  readonly applies: readonly string[];
  /** Keys that differ and stay as they were until a restart. */
  readonly waits: readonly string[];
}

/** Keys outside the servers that a running gateway takes up. All others decide what is made once: listeners, threads, memory, the bounds of sessions. */
const LIVE: readonly string[] = [
  'prefix',
  'endpoints',
  'listen.allowedHosts',
  'listen.allowedOrigins',
  'listen.corsHeaders',
  'limits.headerCountMax',
  'limits.headerBytesMax',
  'limits.exchangesMax',
  'limits.perEndpointMax',
  'limits.perPrincipalMax',
  'limits.lagMaxMs',
  'limits.drainMs',
  'limits.pageSize',
  'limits.listGraceMs',
];

/** Compares what runs with what is wanted; `next` is what will run after a reload. */
export function planReload(
  running: Settings,
  wanted: Wanted,
  env: Environment,
): { readonly plan: Plan; readonly next: Settings } {
  const config = heldBack(running.config, wanted.config);
  const material = new Map([...running.material, ...wanted.material]);
  const former = running.snapshot;
  const compiled = compile({ config, material, env, epoch: former.epoch + 1, former });
  const snapshot = Object.freeze({ ...compiled, listen: former.listen });
  const { servers, hasOtherOrder } = compareServers(running, { config, material, snapshot });
  const differing = differences(withoutServers(running.config), withoutServers(wanted.config)).map(keyText);
  const applies = differing.filter((key) => LIVE.some((live) => isWithin(key, live)));
  if (hasOtherOrder) applies.push('the order of the servers');
  const waits = differing.filter((key) => !applies.includes(key));
  if (waits.every((key) => !isWithin(key, 'listen.tls')) && hasOtherCertificate(running, wanted))
    waits.push('the files of listen.tls');
  const plan = { ...servers, applies, waits };
  return { plan, next: { config, material, snapshot } };
}

/** What a gateway runs as to one server, and what is wanted there. */
export interface ServerChange {
  readonly server: string;
  readonly was: { readonly config: ServerConfig | undefined; readonly spec: ServerSpec | undefined };
  /** No `spec`: it is to be gone, or is disabled. */
  readonly next: { readonly config: ServerConfig | undefined; readonly spec: ServerSpec | undefined };
}

/** What planReload() says where one server alone differs. */
export function planServer({ server, was, next }: ServerChange): Plan {
  const idle = { starts: [], stops: [], changes: [], applies: [], waits: [] };
  if (next.spec === undefined) return was.spec === undefined ? idle : { ...idle, stops: [server] };
  if (was.spec === undefined) return { ...idle, starts: [server] };
  if (isSameServer(was.spec, next.spec)) return idle;
  return { ...idle, changes: [changeOf(server, was.config, next.config)] };
}

function changeOf(
  server: string,
  was: ServerConfig | undefined,
  next: ServerConfig | undefined,
): Plan['changes'][number] {
  const keys = differences(was, next).map(keyText);
  return { server, keys: keys.length > 0 ? keys : ['files that it names'] };
}

/** True when a reload would do nothing. */
export function isIdle({ starts, stops, changes, applies }: Plan): boolean {
  return starts.length + stops.length + changes.length + applies.length === 0;
}

/** The plan as lines of a log and as people read it: what happens, and to whom. */
export function planRows(plan: Plan): readonly (readonly [string, readonly string[]])[] {
  const changes = plan.changes.map(({ server, keys }) => `${server} (${keys.join(', ')})`);
  const rows = [
    ['starts', plan.starts],
    ['stops', plan.stops],
    ['changes', changes],
    ['applies', plan.applies],
    ['waits', plan.waits],
  ] as const;
  return rows.filter(([, what]) => what.length > 0);
}

/** What is wanted, with everything as it was that only a restart can change. */
function heldBack(running: Config, wanted: Config): Config {
  const { allowedHosts, allowedOrigins, corsHeaders } = wanted.listen;
  const { headerCountMax, headerBytesMax, exchangesMax, perEndpointMax, perPrincipalMax, lagMaxMs, drainMs } =
    wanted.limits;
  const { pageSize, listGraceMs } = wanted.limits;
  const crowd = { exchangesMax, perEndpointMax, perPrincipalMax, lagMaxMs };
  const lists = { pageSize, listGraceMs };
  const { allowedHosts: _, ...listen } = running.listen;
  return {
    ...running,
    prefix: wanted.prefix,
    servers: wanted.servers,
    endpoints: wanted.endpoints,
    listen: { ...listen, ...(allowedHosts !== undefined && { allowedHosts }), allowedOrigins, corsHeaders },
    limits: { ...running.limits, headerCountMax, headerBytesMax, ...crowd, drainMs, ...lists },
  };
}

type ServerPlan = Pick<Plan, 'starts' | 'stops' | 'changes'>;

/** What happens to the servers, and whether those that stay have changed places: lists then come in another order. */
function compareServers(
  running: Settings,
  next: Settings,
): { readonly servers: ServerPlan; readonly hasOtherOrder: boolean } {
  const before = running.snapshot.servers;
  const placeOf = placesByName(before);
  const starts: string[] = [];
  const changes: Plan['changes'][number][] = [];
  const stays = new Set<ServerSpec>();
  let last = -1;
  let hasOtherOrder = false;
  for (const spec of next.snapshot.servers) {
    const { name } = spec;
    const at = placeOf.get(name) ?? -1;
    const former = before[at];
    if (former === undefined) {
      starts.push(name);
      continue;
    }
    stays.add(former);
    hasOtherOrder ||= at < last;
    last = at;
    if (!isSameServer(former, spec))
      changes.push(changeOf(name, running.config.servers[name], next.config.servers[name]));
  }
  const stops =
    stays.size === before.length ? [] : before.filter((spec) => !stays.has(spec)).map(({ name }) => name);
  return { servers: { starts, stops, changes }, hasOtherOrder };
}

function withoutServers({ servers: _, $schema: __, ...rest }: Config): Partial<Config> {
  return rest;
}

function hasOtherCertificate(running: Settings, wanted: Wanted): boolean {
  const { tls } = running.config.listen;
  return [tls?.cert, tls?.key, tls?.clientCa].some(
    (path) => path !== undefined && wanted.material.get(path) !== running.material.get(path),
  );
}

/** Paths of the values that differ, down to texts, numbers and whole lists. */
function differences(one: unknown, other: unknown, path: KeyPath = []): KeyPath[] {
  if (one === other) return [];
  if (!isMapping(one) || !isMapping(other))
    return JSON.stringify(one) === JSON.stringify(other) ? [] : [path];
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...keys].flatMap((key) => differences(one[key], other[key], [...path, key]));
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function isWithin(key: string, above: string): boolean {
  return key === above || key.startsWith(`${above}.`);
}
