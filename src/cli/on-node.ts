// What a configuration cannot have on Node, and how many workers can share a port there.
// Called by configure.ts. Promises: on Bun nothing is looked at; what is refused is refused by `sluice check` too, with what to do.
import type { Config } from '../control/schema.ts';
import { canSharePort, LONE_WORKER } from '../runtime/node-ports.ts';
import { loadUws } from '../runtime/node-uws.ts';

/** Why a listener cannot be had on Node; null when it can. */
export function refusalOnNode({
  listen,
  workers,
  servers,
}: Pick<Config, 'listen' | 'workers' | 'servers'>): string | null {
  for (const option of ['http2', 'http3'] as const)
    if (listen[option])
      return `cannot use listen.${option} on Node: uWebSockets.js speaks HTTP/1.1 only; set it to false, or start the gateway on Bun`;
  for (const [name, server] of Object.entries(servers))
    if ('client' in server && server.client === 'fetch')
      return `cannot use servers.${name}.client 'fetch' on Node, whose fetch() speaks HTTP/1.1 only and takes no certificates; leave it out, or start the gateway on Bun`;
  if (workers !== 'auto' && workers > 1 && !canShare(listen)) return `cannot use workers: ${LONE_WORKER}`;
  return null;
}

/** Data workers that `auto` means on Node for this listener, of those that the machine has room for. */
export function workersOnNode(listen: Config['listen'], wanted: number): number {
  return canShare(listen) ? wanted : 1;
}

function canShare({ transport, tls }: Config['listen']): boolean {
  if (canSharePort()) return true;
  // As node-listener.ts chooses: client certificates are asked for by node:https.
  return transport === 'uwebsockets' && tls?.clientCa === undefined && loadUws().uws !== null;
}
