// Whether sockets of node:net can share a port, as the listeners of several workers do.
// Called by node-server.ts and cli/on-node.ts. Promises: what Node's own constants say, not what its version should have.

/** Node's own socket, as far as it is used. */
export interface TcpHandle {
  bind(address: string, port: number, flags: number): number;
  bind6(address: string, port: number, flags: number): number;
  close(): void;
}

interface TcpBinding {
  readonly TCP: new (kind: number) => TcpHandle;
  readonly constants: { readonly SERVER: number; readonly UV_TCP_REUSEPORT?: number };
}

/**
 * node:net binds an address only after it has looked it up, in a later turn, although it is one; our callers are told at once. This is the one thing of Node's inside
 * that is used, and only where uWebSockets.js does not serve.
 */
export function tcpBinding(): TcpBinding {
  // Its types leave it out, since it is deprecated in the documentation (DEP0111).
  return (process as unknown as { binding(name: string): TcpBinding }).binding('tcp_wrap');
}

/** True from Node 22.12 on, where the system can. */
export function canSharePort(): boolean {
  return tcpBinding().constants.UV_TCP_REUSEPORT !== undefined;
}

/** Said where several workers cannot be had. */
export const LONE_WORKER = `with Node ${process.versions.node} only uWebSockets.js lets several share a port: set workers to 1, install the package uWebSockets.js and leave listen.transport out, or use Node 22.12 or later`;
