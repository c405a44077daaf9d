// The world, simulated: virtual time, seeded randomness, an in-memory network, scripted children, files in a map.
// Called by tests (unit, contract, sim). Promises: runtime.ts, and the same seed with the same calls gives the same order of
// events; nothing happens but when the test moves time. Worker threads are refused.
import { concat } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { bunAead } from './bun-aead.ts';
import type { Files, Runtime, SocketAddress, Standard } from './runtime.ts';
import { type Program, Programs } from './sim-child.ts';
import { type ClientExchange, type ClientRequest, sendRequest } from './sim-client.ts';
import { SimListener } from './sim-listener.ts';
import { type Accept, Network, placeOf, type WireOptions } from './sim-network.ts';
import { seededRandom } from './sim-random.ts';
import { Schedule } from './sim-schedule.ts';

/** What a sim may be told; all but the seed have defaults. */
export interface SimOptions extends Partial<WireOptions> {
  readonly seed: number;
}

/** A runtime with handles for the test that owns it. */
export interface SimRuntime extends Runtime {
  readonly name: 'sim';
  /** Lets `ms` of virtual time pass. */
  advance(ms: number): Promise<void>;
  /** Runs until nothing is left to happen; fails on what never rests, such as a periodic timer. */
  runUntilIdle(): Promise<void>;
  /** A client's HTTP request to a port that listen() gave; look at the exchange while time passes. */
  request(port: number, request: ClientRequest): ClientExchange;
  /** Answers connections to an address by script; returns a function that stops it. */
  accept(address: SocketAddress, accept: Accept): () => void;
  /** Makes a command known to spawn(). */
  program(command: string, program: Program): void;
  /** Feeds the simulated stdin; null ends it. */
  feedStdin(bytes: Uint8Array | null): void;
  /** All that was written to stdout and stderr so far. */
  written(): { readonly stdout: Uint8Array; readonly stderr: Uint8Array };
}

const DEFAULT_WIRE: WireOptions = { windowBytes: 64 * 1024, latencyMinMs: 0.05, latencyMaxMs: 0.5 };

/** An error as the file system gives it. */
function fileError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: '${path}'`), { code });
}

function memoryFiles(): Files {
  const texts = new Map<string, string>();
  const read = (path: string): Promise<string> => {
    const text = texts.get(path);
    return text === undefined ? Promise.reject(fileError('ENOENT', path)) : Promise.resolve(text);
  };
  return {
    readText: read,
    writeText(path, text) {
      texts.set(path, text);
      return Promise.resolve();
    },
    makePrivateFolder: () => Promise.resolve(),
    createPrivate(path, text) {
      if (texts.has(path)) return Promise.reject(fileError('EEXIST', path));
      texts.set(path, text);
      return Promise.resolve();
    },
    async rename(from, to) {
      texts.set(to, await read(from));
      texts.delete(from);
    },
    remove(path) {
      texts.delete(path);
      return Promise.resolve();
    },
    exists: (path) => Promise.resolve(texts.has(path)),
  };
}

/** Stdin that a test feeds, and what was written to the other two. */
function memoryStandard(schedule: Schedule) {
  const stdout: Uint8Array[] = [];
  const stderr: Uint8Array[] = [];
  const fed: (Uint8Array | null)[] = [];
  let listener: { onBytes(bytes: Uint8Array): void; onEnd(): void } | null = null;
  const pump = (): void => {
    while (listener !== null && fed.length > 0) {
      const bytes = fed.shift() ?? null;
      if (bytes === null) listener.onEnd();
      else listener.onBytes(bytes);
    }
  };
  const standard: Standard = {
    readStdin(onBytes, onEnd) {
      listener = { onBytes, onEnd };
      schedule.soon(pump);
    },
    writeStdout: (bytes) => {
      stdout.push(bytes.slice());
    },
    writeStderr: (bytes) => {
      stderr.push(bytes.slice());
    },
    stderrIsTerminal: false,
  };
  const feedStdin = (bytes: Uint8Array | null): void => {
    fed.push(bytes);
    schedule.soon(pump);
  };
  return { standard, feedStdin, written: () => ({ stdout: concat(stdout), stderr: concat(stderr) }) };
}

function refuseThreads(): never {
  throw new GatewayError(
    'GW_RUNTIME_WORKER',
    'the simulated runtime has no threads: run worker code directly',
  );
}

/** A fresh world; nothing of it is shared with another one. */
export function createSimRuntime(options: SimOptions): SimRuntime {
  const clock = new Schedule();
  const random = seededRandom(options.seed);
  // A stream of its own for the wires: how often the code under test draws does not change the delays.
  const network = new Network(clock, seededRandom(options.seed ^ 0x5eed), { ...DEFAULT_WIRE, ...options });
  const programs = new Programs(clock);
  const { standard, feedStdin, written } = memoryStandard(clock);
  const connect: Runtime['connect'] = (address, tls, handler) =>
    network.connect(address, tls !== null, handler);
  return {
    name: 'sim',
    clock,
    random,
    // A function of its arguments: there is nothing to simulate.
    aead: bunAead,
    files: memoryFiles(),
    standard,
    scope: null,
    listen: (listenOptions, handler) => new SimListener(network, listenOptions, handler),
    connect,
    spawn: (spawnOptions, handler) => programs.spawn(spawnOptions, handler),
    groupMemory: (groups) => Promise.resolve(programs.memoryOf(groups)),
    startWorker: refuseThreads,
    channel: refuseThreads,
    parallelism: 1,
    heapBytes: () => 0,
    advance: (ms) => clock.advance(ms),
    runUntilIdle: () => clock.runUntilIdle(),
    request: (port, request) => sendRequest({ connect }, { host: '127.0.0.1', port }, request),
    accept(address, accept) {
      const unbind = network.bind(placeOf(address), accept);
      if (unbind === null) throw new GatewayError('GW_RUNTIME_LISTEN', `"${placeOf(address)}" is in use`);
      return unbind;
    },
    program: (command, program) => programs.register(command, program),
    feedStdin,
    written,
  };
}
