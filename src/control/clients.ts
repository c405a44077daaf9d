// Configuration files of MCP clients, as they stand → the shape that schema.ts describes.
// Called by load.ts. Known forms: `mcpServers` (Claude, Cursor, Windsurf, Cline and others) and `servers` with `type` (VS Code).
// Promises: what the gateway can do is taken over; what is only of use to that client is left out with a note; what it
// cannot do is refused in words.
import type { Flaw } from './check.ts';
import type { KeyPath } from './problem.ts';
import { configSchema } from './schema.ts';
import { SERVER_KEYS } from './server-schema.ts';

/** A client's file in our shape. */
export interface Imported {
  readonly value: unknown;
  readonly flaws: readonly Flaw[];
  /** Something left out; the path is one of the file. */
  readonly notes: readonly { readonly path: KeyPath; readonly detail: string }[];
  /** Path in `value` → path in the file. */
  origin(path: KeyPath): KeyPath;
}

type Mapping = Readonly<Record<string, unknown>>;

function isMapping(value: unknown): value is Mapping {
  return value !== null && typeof value === 'object' && !Array.isArray(value) && !(value instanceof Date);
}

/** Other names that clients use for the URL of a server. */
const URL_KEYS: readonly string[] = ['url', 'serverUrl', 'httpUrl'];
const HTTP_TYPES: readonly string[] = [
  'http',
  'streamable-http',
  'streamablehttp',
  'streamable_http',
  'sse',
  'auto',
];
const OUR_KEYS = Object.keys(configSchema.shape).filter((key) => key !== 'servers');

/** The key under which a client keeps its servers, or null when the file is one of ours. */
export function clientKey(value: unknown, json: boolean): 'mcpServers' | 'servers' | null {
  if (!isMapping(value)) return null;
  if (Object.hasOwn(value, 'mcpServers')) return 'mcpServers';
  const servers = value.servers;
  if (!json || !isMapping(servers)) return null;
  const typed = Object.values(servers).some((server) => isMapping(server) && typeof server.type === 'string');
  return typed || Array.isArray(value.inputs) ? 'servers' : null;
}

/** Takes a client's file over. */
export function importClient(value: unknown, key: 'mcpServers' | 'servers'): Imported {
  const flaws: Flaw[] = [];
  const notes: { path: KeyPath; detail: string }[] = [];
  const urlKeys = new Map<string, string>();
  const root: Record<string, unknown> = {};
  for (const [name, entry] of Object.entries(isMapping(value) ? value : {})) {
    if (name === key) continue;
    if (name === 'servers') {
      flaws.push({
        code: 'GW_CONFIG_KEY',
        path: [name],
        detail: 'found both servers and mcpServers; allowed: one of them',
      });
    } else if (OUR_KEYS.includes(name)) root[name] = entry;
    else notes.push({ path: [name], detail: 'left out: it is for another program' });
  }
  const listed = isMapping(value) ? value[key] : null;
  root.servers = isMapping(listed)
    ? Object.fromEntries(
        Object.entries(listed).map(([name, entry]) => {
          const server = isMapping(entry) ? takeServer([key, name], entry, flaws, notes) : null;
          if (server !== null && server.urlKey !== 'url') urlKeys.set(name, server.urlKey);
          return [name, server === null ? entry : server.value];
        }),
      )
    : listed;
  const origin = (path: KeyPath): KeyPath => {
    if (path[0] !== 'servers') return path;
    const [, name, field, ...rest] = path;
    const renamed = field === 'url' ? (urlKeys.get(String(name)) ?? field) : field;
    return [key, ...(name === undefined ? [] : [name]), ...(renamed === undefined ? [] : [renamed]), ...rest];
  };
  return { value: root, flaws, notes, origin };
}

/** One server of a client's file in our shape; flaws and notes carry paths of the file. */
function takeServer(
  path: KeyPath,
  entry: Mapping,
  flaws: Flaw[],
  notes: { path: KeyPath; detail: string }[],
): { value: Mapping; urlKey: string } {
  const server: Record<string, unknown> = {};
  let urlKey = 'url';
  for (const [key, value] of Object.entries(entry)) {
    const here = [...path, key];
    if (URL_KEYS.includes(key)) {
      urlKey = key;
      server.url = value;
    } else if (key === 'type' || key === 'transport' || key === 'transportType') {
      const refusal = refuseType(value, entry);
      if (refusal !== null) flaws.push({ code: 'GW_CONFIG_VALUE', path: here, detail: refusal });
      else if (entry.command === undefined) server.transport = transportOf(value);
    } else if (key === 'enabled' && typeof value === 'boolean') server.disabled = !value;
    else if (key === 'envFile') {
      flaws.push({
        code: 'GW_CONFIG_KEY',
        path: here,
        detail:
          'files of variables are not read; write the variables under env, as ${NAME} where they are secret',
      });
    } else if (SERVER_KEYS.includes(key) && !isAllowList(key, value)) server[key] = value;
    else notes.push({ path: here, detail: 'left out: it is for another program' });
  }
  return { value: server, urlKey };
}

/** True for the list of tools that some clients let their model use; ours is a mapping. */
function isAllowList(key: string, value: unknown): boolean {
  return key === 'tools' && Array.isArray(value);
}

/** Our word for a `type` that can be served of a server behind a URL. */
function transportOf(type: unknown): string {
  const name = String(type).toLowerCase();
  return name === 'sse' || name === 'auto' ? name : 'streamable-http';
}

/** Why a `type` cannot be served, or null when it can. */
function refuseType(type: unknown, entry: Mapping): string | null {
  const name = typeof type === 'string' ? type.toLowerCase() : '';
  if (name === 'stdio' || name === 'local')
    return entry.command === undefined ? `found '${name}' without a command` : null;
  if (HTTP_TYPES.includes(name))
    return URL_KEYS.some((key) => entry[key] !== undefined) ? null : `found '${name}' without a url`;
  return `found ${name === '' ? 'no text' : 'an unknown transport'}; allowed: stdio, http, streamable-http, sse`;
}
