// What one change of the registry would do to the gateway that runs.
// Called by live-registry.ts. Promises: the same as planReload() says where nothing else differs (a test compares them), at a cost that does not grow with the number of
// servers; what could not be served fails here, before it is kept.
import type { Snapshot } from '../../snapshot.ts';
import { placesByName, type ServerSpec } from '../../upstream/spec.ts';
import { compileServer } from '../compile-server.ts';
import { type Plan, planServer, type Settings } from '../plan.ts';
import type { Environment } from '../references.ts';
import type { Catalogue, Trial } from './catalogue.ts';
import type { Verdict } from './judge.ts';

type Sound = Extract<Verdict, { ok: true }>;

/** The server as the data path would have it; null: it is disabled. Throws GatewayError when it cannot be. */
export function compileTrial(name: string, { server, material }: Sound, env: Environment): ServerSpec | null {
  return server.disabled ? null : compileServer(name, server, { material, env });
}

/** What happens to the server of a trial. */
export function planTrial({ name, verdict }: Trial, running: Settings | null, env: Environment): Plan {
  const spec = verdict === null ? null : compileTrial(name, verdict, env);
  return planServer({
    server: name,
    was: {
      config: running?.config.servers[name],
      spec: running === null ? undefined : specOf(running.snapshot, name),
    },
    next: { config: verdict?.server, spec: spec ?? undefined },
  });
}

function specOf({ servers }: Snapshot, name: string): ServerSpec | undefined {
  return servers[placesByName(servers).get(name) ?? -1];
}

/** What else is worth knowing, in words. */
export function notesOf(
  { name, verdict }: Trial,
  catalogue: Catalogue,
  running: Settings | null,
): readonly string[] {
  if (catalogue.isOfFile(name)) return [`the file has a server '${name}' too, and that one is in force`];
  if (running === null) return [];
  const { snapshot, config } = running;
  const count = snapshot.servers.length;
  const was = specOf(snapshot, name) !== undefined;
  const is = verdict !== null && !verdict.server.disabled;
  const after = count + (is ? 1 : 0) - (was ? 1 : 0);
  const notes = verdict?.server.disabled === true ? [`'${name}' is disabled: it is kept and not served`] : [];
  if (config.prefix !== 'auto' || count === after) return notes;
  if (count === 1 && after > 1) notes.push('with several servers, names on /mcp are server__tool');
  if (after === 1 && count > 1) notes.push('with one server, names on /mcp are its own');
  return notes;
}
