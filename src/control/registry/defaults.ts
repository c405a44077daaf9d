// Settings of a server without what they would be anyway, and a server of the file as the registry shows it.
// Called by catalogue.ts, live-registry.ts and admin/fixed-servers.ts. Promises: pure; the schema gives the same server for what is left.
import { type ServerConfig, serverSchema } from '../server-schema.ts';
import type { Mapping, ServerEntry } from './registry.ts';
import { isMapping } from './rows.ts';

/** What each kind of server is when nothing is said but what must be. */
const BARE = {
  command: serverSchema.parse({ command: 'x' }),
  url: serverSchema.parse({ url: 'http://x/' }),
  replicas: serverSchema.parse({ replicas: [{ url: 'http://x/' }] }),
};
const NEEDED: readonly string[] = Object.keys(BARE);

/** The settings that differ from the defaults, and what says which kind it is. */
export function withoutDefaults(server: ServerConfig): Mapping {
  const bare = 'command' in server ? BARE.command : 'url' in server ? BARE.url : BARE.replicas;
  return Object.fromEntries(
    Object.entries(server).flatMap(([key, value]) => {
      if (NEEDED.includes(key)) return [[key, value]];
      const left = difference(value, Reflect.get(bare, key));
      return left === undefined ? [] : [[key, left]];
    }),
  );
}

/** What of a value is not as the default; undefined: nothing. */
function difference(value: unknown, usual: unknown): unknown {
  if (JSON.stringify(value) === JSON.stringify(usual)) return undefined;
  if (!isMapping(value) || !isMapping(usual)) return value;
  const left = Object.entries(value).flatMap(([key, below]) => {
    const own = difference(below, usual[key]);
    return own === undefined ? [] : [[key, own] as const];
  });
  return Object.fromEntries(left);
}

/** A server of the file as the registry shows it, with what people may see of its settings. */
export function fileEntry(
  name: string,
  { disabled }: ServerConfig,
  settings: ServerEntry['settings'],
): ServerEntry {
  return {
    ...{ name, origin: 'file', version: null, isEnabled: !disabled, isShadowed: false },
    ...{ settings, problem: null, changedAtMs: null },
  };
}
