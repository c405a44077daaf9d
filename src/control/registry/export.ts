// Servers as a text: a configuration of ours, or what MCP clients read.
// Called by live-registry.ts. Promises: what is exported can be imported again, here or there; defaults are not written.
import { stringify } from 'yaml';
import type { Mapping } from './registry.ts';

/** The text of servers, which come by name in their order. */
export function exportServers(
  servers: readonly (readonly [string, Mapping])[],
  format: 'yaml' | 'mcpServers',
): string {
  if (format === 'yaml') return stringify({ servers: Object.fromEntries(servers) });
  const entries = servers.map(([name, settings]) => [name, clientEntry(settings)] as const);
  return `${JSON.stringify({ mcpServers: Object.fromEntries(entries) }, null, 2)}\n`;
}

/** Clients tell servers behind a URL by a `type`; keys of ours they pass over. */
function clientEntry(settings: Mapping): Mapping {
  if (settings.url === undefined) return settings;
  const { transport, ...others } = settings;
  return { type: transport === 'sse' ? 'sse' : 'http', ...others };
}
