// Files that a configuration names: their paths made absolute, their PEM texts read.
// Called by load.ts. Promises: compile.ts and the data path never ask the file system; a file that is missing or holds
// no PEM block is a flaw of the key that names it; the text of a file never gets into a message.
import type { Files } from '../runtime/runtime.ts';
import type { Flaw } from './check.ts';
import { resolvePath } from './place.ts';
import type { KeyPath } from './problem.ts';
import type { Config } from './schema.ts';
import type { ServerConfig } from './server-schema.ts';

/** The configuration with every path in it absolute, seen from the directory of its file. */
export function anchorPaths(config: Config, directory: string): Config {
  const servers: Record<string, ServerConfig> = {};
  for (const [name, server] of Object.entries(config.servers))
    servers[name] = anchorServer(server, directory);
  const { tls } = config.listen;
  const listenTls = tls === undefined ? {} : { tls: anchorKeys(tls, ['cert', 'key', 'clientCa'], directory) };
  const anchored = { ...config, listen: { ...config.listen, ...listenTls }, servers };
  return anchorKeys(anchored, ['dataDir'], directory);
}

function anchorServer(server: ServerConfig, directory: string): ServerConfig {
  if (!('command' in server)) {
    const tls = anchorKeys(server.tls, ['ca', 'cert', 'key'], directory);
    if ('url' in server) return anchorKeys({ ...server, tls }, ['unixPath'], directory);
    const replicas = server.replicas.map((place) => anchorKeys(place, ['unixPath'], directory));
    return { ...server, tls, replicas };
  }
  const cwd = resolvePath(directory, server.cwd ?? '.');
  const command = server.command.includes('/') ? resolvePath(cwd, server.command) : server.command;
  return { ...server, cwd, command };
}

/** A copy whose named paths, where present, are absolute. */
function anchorKeys<T extends object>(value: T, keys: readonly (keyof T)[], directory: string): T {
  const copy = { ...value };
  for (const key of keys) {
    const path = copy[key];
    // The callers name only keys of text, which the type of T cannot say.
    if (typeof path === 'string') copy[key] = resolvePath(directory, path) as T[typeof key];
  }
  return copy;
}

/** Reads every PEM file that the configuration names, once each; absolute path → text. */
export async function readMaterial(
  config: Config,
  files: Files,
): Promise<{ readonly material: ReadonlyMap<string, string>; readonly flaws: readonly Flaw[] }> {
  const material = new Map<string, string>();
  const flaws: Flaw[] = [];
  for (const { path, file, label } of namedFiles(config)) {
    try {
      const text = material.get(file) ?? (await files.readText(file));
      material.set(file, text);
      if (label.test(text)) continue;
      flaws.push({
        code: 'GW_CONFIG_VALUE',
        path,
        detail: `the file holds no such PEM block; allowed: a file with ${wanted(path)}`,
      });
    } catch (thrown) {
      flaws.push({
        code: 'GW_CONFIG_READ',
        path,
        detail: `found ${readFailure(thrown)}; allowed: a PEM file with ${wanted(path)}`,
      });
    }
  }
  return { material, flaws };
}

const CERTIFICATE = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/;
const PRIVATE_KEY = /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/;

function wanted(path: KeyPath): string {
  return path.at(-1) === 'key' ? '-----BEGIN PRIVATE KEY-----' : '-----BEGIN CERTIFICATE-----';
}

interface NamedFile {
  readonly path: KeyPath;
  readonly file: string;
  readonly label: RegExp;
}

function namedFiles(config: Config): NamedFile[] {
  const named: NamedFile[] = [];
  const add = (path: KeyPath, file: string | undefined): void => {
    if (file !== undefined)
      named.push({ path, file, label: path.at(-1) === 'key' ? PRIVATE_KEY : CERTIFICATE });
  };
  const { tls } = config.listen;
  add(['listen', 'tls', 'cert'], tls?.cert);
  add(['listen', 'tls', 'key'], tls?.key);
  add(['listen', 'tls', 'clientCa'], tls?.clientCa);
  for (const [name, server] of Object.entries(config.servers)) {
    if ('command' in server || server.disabled) continue;
    for (const key of ['ca', 'cert', 'key'] as const) add(['servers', name, 'tls', key], server.tls[key]);
  }
  return named;
}

/** What kept a file from being read, in words. */
export function readFailure(thrown: unknown): string {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown reason';
  if (code === 'ENOENT') return 'no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'no permission to read it';
  return code === 'EISDIR' ? 'a directory' : `a failure of the file system (${code})`;
}
