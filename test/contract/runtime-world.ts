// The two worlds in which the runtime's contract suite runs: Bun on real sockets and processes, and the sim.
// Called by runtime.ts (the suite) through runtime.test.ts. Promises: a world hands out peers and programs that act the same
// in both, and close() leaves no process, socket or listener behind.
import net from 'node:net';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import type { Runtime, SocketAddress, SpawnOptions, Transport } from '../../src/runtime/runtime.ts';
import { createSimRuntime, type SimOptions } from '../../src/runtime/sim.ts';
import type { Program } from '../../src/runtime/sim-child.ts';
import type { Accept, PeerSocket } from '../../src/runtime/sim-network.ts';

/** Programs that both worlds know. */
export type ProgramName = 'echo' | 'exit7' | 'flood' | 'deaf' | 'stubborn' | 'stderr';

/** How much `flood` writes. */
export const FLOOD_BYTES = 1_000_000;

export interface World {
  readonly runtime: Runtime;
  readonly transport: Transport;
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

const UNTIL_MS = 8_000;

/** Bun: the polling is real time, the peers are node:net servers, the programs are shell one-liners. */
export function bunWorld(transport: Transport = 'uwebsockets'): World {
  const runtime = createBunRuntime();
  const servers = new Set<net.Server>();
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
    async until(claim, holds) {
      const end = performance.now() + UNTIL_MS;
      while (!holds()) {
        if (performance.now() > end) throw new Error(`never came true: ${claim}`);
        await Bun.sleep(2);
      }
    },
    pass: (ms) => Bun.sleep(ms),
    async accept(accept) {
      const server = net.createServer({ noDelay: true }, (raw) => adopt(raw, accept));
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

/** What a sim of the suite may be told. */
export interface SimWorldOptions extends Partial<Omit<SimOptions, 'seed'>> {
  readonly transport?: Transport;
}

/** The sim: virtual time, scripted peers and programs. */
export function simWorld(seed = 1, options: SimWorldOptions = {}): World {
  const { transport = 'uwebsockets', ...wire } = options;
  const runtime = createSimRuntime({ seed, ...wire });
  for (const [name, program] of Object.entries(simPrograms)) runtime.program(name, program);
  return {
    runtime,
    transport,
    async until(claim, holds) {
      for (let step = 0; step < UNTIL_MS; step++) {
        if (holds()) return;
        await runtime.advance(1);
      }
      if (!holds()) throw new Error(`never came true: ${claim}`);
    },
    pass: (ms) => runtime.advance(ms),
    async accept(accept) {
      const address = { host: '127.0.0.1', port: 7000 + Math.floor(runtime.random.fraction() * 1000) };
      runtime.accept(address, accept);
      return address;
    },
    nowhere: { host: '127.0.0.1', port: 1 },
    program: (name) => ({ command: name, args: [], cwd: null, env: {} }),
    close: () => Promise.resolve(),
  };
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

const simPrograms: Record<ProgramName, Program> = {
  echo: (io) => ({ onStdin: (bytes) => io.stdout(bytes), onStdinEnd: () => io.exit(0) }),
  exit7: (io) => {
    io.clock.after(1, () => io.exit(7));
    return { onStdin: () => undefined, onStdinEnd: () => undefined };
  },
  flood: (io) => {
    io.clock.after(1, () => {
      for (let sent = 0; sent < FLOOD_BYTES; sent += 10_000) io.stdout(text('x'.repeat(10_000)));
      io.exit(0);
    });
    return { onStdin: () => undefined, onStdinEnd: () => undefined };
  },
  deaf: (io) => {
    let count = 0;
    io.pauseStdin();
    io.clock.after(200, () => io.resumeStdin());
    return {
      onStdin: (bytes) => {
        count += bytes.length;
      },
      onStdinEnd: () => {
        io.stdout(text(`${count}\n`));
        io.exit(0);
      },
    };
  },
  stubborn: (io) => {
    io.clock.after(1, () => io.stdout(text('ready\n')));
    return { onStdin: () => undefined, onStdinEnd: () => undefined, onSignal: () => true };
  },
  stderr: (io) => {
    io.clock.after(1, () => {
      io.stdout(text('out\n'));
      io.stderr(text('err\n'));
      io.exit(0);
    });
    return { onStdin: () => undefined, onStdinEnd: () => undefined };
  },
};
