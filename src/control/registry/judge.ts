// Settings as the registry keeps them → servers that may be compiled, or everything that is wrong with them in words.
// Called by live-registry.ts. Promises: the same schema, references and paths as for the configuration's file; all servers at once cost one pass; what is wrong with one
// does no harm to the others.
import type { Files } from '../../runtime/runtime.ts';
import { check, type Flaw } from '../check.ts';
import { anchorPaths, readMaterial } from '../material.ts';
import { keyText } from '../problem.ts';
import { type Environment, resolveReferences } from '../references.ts';
import type { Config } from '../schema.ts';
import type { ServerConfig } from '../server-schema.ts';
import type { Mapping } from './registry.ts';

/** What judging takes. */
export interface JudgeTools {
  readonly files: Files;
  readonly env: Environment;
  /** Relative paths are taken from here. */
  readonly directory: string;
}

/** One thing that is wrong; `key` below the server, '' for its name. */
export interface Fault {
  readonly key: string;
  readonly detail: string;
}

/** What became of one server. */
export type Verdict =
  | {
      readonly ok: true;
      readonly server: ServerConfig;
      /** PEM texts by absolute path. */
      readonly material: ReadonlyMap<string, string>;
    }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/** Judges servers by name. */
export async function judge(
  servers: ReadonlyMap<string, Mapping>,
  tools: JudgeTools,
): Promise<ReadonlyMap<string, Verdict>> {
  const faults = new Map<string, Fault[]>();
  const note = ({ path, detail }: Pick<Flaw, 'path' | 'detail'>): void => {
    const name = String(path[1] ?? '');
    const own = faults.get(name) ?? [];
    own.push({ key: keyText(path.slice(2)), detail });
    faults.set(name, own);
  };
  const config = checked(servers, tools.env, note);
  const sound = Object.fromEntries(Object.entries(config.servers).filter(([name]) => !faults.has(name)));
  const anchored = anchorPaths({ ...config, servers: sound }, tools.directory);
  const { material, flaws } = await readMaterial(anchored, tools.files);
  for (const flaw of flaws) note(flaw);
  return new Map(
    [...servers.keys()].map((name): [string, Verdict] => {
      const server = anchored.servers[name];
      const own = faults.get(name);
      if (server === undefined || own !== undefined)
        return [name, { ok: false, faults: own ?? [{ key: '', detail: 'it cannot be a server' }] }];
      return [name, { ok: true, server, material: namedBy(server, material) }];
    }),
  );
}

/** The configuration of those in which the schema finds nothing wrong. */
function checked(
  servers: ReadonlyMap<string, Mapping>,
  env: Environment,
  note: (flaw: Pick<Flaw, 'path' | 'detail'>) => void,
): Config {
  const raw = { servers: Object.fromEntries(servers) };
  const resolved = resolveReferences(raw, env);
  for (const fault of resolved.faults) note(fault);
  const all = check(resolved.value, raw, resolved.whole);
  if (all.ok) return all.config;
  const refused = new Set<unknown>(all.flaws.map(({ path }) => path[1]));
  // Where a reference could not be resolved, what stands there instead is not worth a word.
  const unresolved = new Set(resolved.faults.map(({ path }) => JSON.stringify(path)));
  for (const flaw of all.flaws) if (!unresolved.has(JSON.stringify(flaw.path))) note(flaw);
  return checked(new Map([...servers].filter(([name]) => !refused.has(name))), env, () => undefined);
}

function namedBy(server: ServerConfig, material: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  if ('command' in server || material.size === 0) return NOTHING;
  const named = [server.tls.ca, server.tls.cert, server.tls.key];
  return new Map([...material].filter(([path]) => named.includes(path)));
}

const NOTHING: ReadonlyMap<string, string> = new Map();
