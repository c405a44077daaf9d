// The real world in which the runtime's contract suite runs: real time, real sockets and processes, on Bun or on Node.
// Called by runtime.ts (the suite) through runtime.test.ts and runtime-node.ts. Promises: close() leaves no process, socket or listener behind.
import net from 'node:net';
import type { Runtime, SocketAddress, SpawnOptions, Transport } from '../../src/runtime/runtime.ts';
import type { Accept, PeerSocket } from '../../src/runtime/sim-network.ts';

/** Programs that all worlds know. */
export type ProgramName = 'echo' | 'exit7' | 'flood' | 'deaf' | 'stubborn' | 'stderr';

/** How much `flood` writes. */
export const FLOOD_BYTES = 1_000_000;

export interface World {
  readonly runtime: Runtime;
  readonly transport: Transport;
  /** False where bodies in chunks are refused with 411: uWebSockets.js, which takes chunk sizes that are none (docs/decisions/0039-node.md). */
  readonly takesChunks: boolean;
  /** Lets time pass until the claim holds; fails naming it when it never does. */
  until(claim: string, holds: () => boolean): Promise<void>;
  /** Lets a little time pass, for showing that something does not happen. */
  pass(ms: number): Promise<void>;
  /** A TCP server by script. */
  accept(accept: Accept): Promise<SocketAddress>;
  /** An address where nobody answers. */
  readonly nowhere: SocketAddress;
  program(name: ProgramName): SpawnOptions;
  close(): Promise<void>;
}

/** A claim that has not come true after this never will. */
export const UNTIL_MS = 8_000;

/** Waits for real. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** The polling is real time, the peers are node:net servers, the programs are shell one-liners. */
export function realWorld(runtime: Runtime, transport: Transport = 'uwebsockets', takesChunks = true): World {
  const servers = new Set<net.Server>();
  const peers = new Set<net.Socket>();
  const shell: Record<ProgramName, string> = {
    echo: 'exec cat',
    exit7: 'exit 7',
    flood: `head -c ${FLOOD_BYTES} /dev/zero | tr '\\0' 'x'`,
    // Waits for a first line, then reads the rest and says how much it was.
    deaf: 'sleep 0.2; wc -c',
    stubborn: `trap '' TERM; echo ready; while :; do sleep 0.05; done`,
    stderr: 'echo out; echo err >&2',
  };
  return {
    runtime,
    transport,
    takesChunks,
    async until(claim, holds) {
      const end = performance.now() + UNTIL_MS;
      while (!holds()) {
        if (performance.now() > end) throw new Error(`never came true: ${claim}`);
        await sleep(2);
      }
    },
    pass: sleep,
    async accept(accept) {
      const server = net.createServer({ noDelay: true }, (raw) => {
        peers.add(raw);
        adopt(raw, accept);
      });
      servers.add(server);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const place = server.address();
      if (place === null || typeof place === 'string') throw new Error('no port');
      return { host: '127.0.0.1', port: place.port };
    },
    nowhere: { host: '127.0.0.1', port: 1 },
    program: (name) => ({
      command: '/bin/sh',
      args: ['-c', shell[name]],
      cwd: null,
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin' },
    }),
    async close() {
      for (const peer of peers) peer.destroy();
      for (const server of servers) server.close();
    },
  };
}

/** Puts a node:net socket behind our own contract, so that the same script plays the peer in both worlds. */
function adopt(raw: net.Socket, accept: Accept): void {
  const socket: PeerSocket = {
    write(bytes, start, end) {
      raw.write(bytes.slice(start, end));
      return end - start;
    },
    end: () => {
      raw.end();
    },
    halfClose: () => {
      raw.end();
    },
    destroy: () => {
      raw.resetAndDestroy();
    },
    pause: () => {
      raw.pause();
    },
    resume: () => {
      raw.resume();
    },
  };
  const handler = accept(socket, false);
  let failure: string | null = null;
  raw.on('data', (bytes) => handler.onData(Buffer.from(bytes)));
  raw.on('drain', () => handler.onDrain());
  raw.on('end', () => handler.onEnd());
  raw.on('error', (error) => {
    failure = error.message;
  });
  raw.on('close', () => handler.onClose(failure));
  handler.onOpen(socket);
}
