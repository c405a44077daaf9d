// Servers out of a text: a configuration of ours, or a file of an MCP client, as it stands.
// Called by live-registry.ts. Promises: only servers are taken over, and what is left out is noted; a text that cannot be read is refused with its lines; no
// text of the file gets into a message.
import { clientKey, importClient } from '../clients.ts';
import { parseDocument } from '../document.ts';
import { type KeyPath, keyText } from '../problem.ts';
import type { Fault } from './judge.ts';
import type { Mapping } from './registry.ts';
import { isMapping } from './rows.ts';

/** What a text holds: servers by name, those that cannot be taken over with the reason, and notes. */
export interface FoundServers {
  readonly ok: true;
  readonly servers: ReadonlyMap<string, Mapping>;
  readonly refused: ReadonlyMap<string, string>;
  readonly notes: readonly string[];
}

/** Why a text holds nothing. */
export interface NothingFound {
  readonly ok: false;
  readonly faults: readonly Fault[];
}

/** Reads a text. */
export async function readImport(
  text: string,
  format: 'yaml' | 'json',
): Promise<FoundServers | NothingFound> {
  const document = await parseDocument(text, format);
  const faults = document.faults.map(({ line, path, detail }) => ({
    key: keyText(path),
    detail: `line ${line}: ${detail}`,
  }));
  if (faults.length > 0) return { ok: false, faults };
  const client = clientKey(document.value, format === 'json');
  const imported = client === null ? null : importClient(document.value, client);
  const value = imported?.value ?? document.value;
  const servers = isMapping(value) ? value.servers : undefined;
  if (!isMapping(servers)) {
    const key = client ?? 'servers';
    return {
      ok: false,
      faults: [{ key, detail: 'found no mapping of servers; required: servers or mcpServers' }],
    };
  }
  const refused = new Map<string, string>();
  for (const flaw of imported?.flaws ?? []) refused.set(nameIn(flaw.path), lineOf(flaw.path, flaw.detail));
  const found = new Map<string, Mapping>();
  for (const [name, settings] of Object.entries(servers)) {
    if (refused.has(name)) continue;
    if (isMapping(settings)) found.set(name, settings);
    else refused.set(name, 'it is no mapping');
  }
  const notes = (imported?.notes ?? []).map(({ path, detail }) => lineOf(path, detail));
  const others = isMapping(value)
    ? Object.keys(value).filter((key) => key !== 'servers' && key !== '$schema')
    : [];
  return {
    ok: true,
    servers: found,
    refused,
    notes: [...notes, ...others.map((key) => `${keyText([key])}: left out: only servers are taken over`)],
  };
}

/** The server that a path of the file leads into. */
function nameIn(path: KeyPath): string {
  return String(path[1] ?? '');
}

function lineOf(path: KeyPath, detail: string): string {
  return `${keyText(path)}: ${detail}`;
}
