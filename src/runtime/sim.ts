// The world, simulated: virtual time, seeded randomness, an in-memory network, scripted children, threads, files in a map.
// Called by tests (unit, contract, sim). Promises: runtime.ts, and the same seed with the same calls gives the same order of
// events; nothing happens but when the test moves time.
import { concat, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { systemAead } from './aead.ts';
import type { Files, Runtime, SocketAddress, Standard } from './runtime.ts';
import { type Program, Programs } from './sim-child.ts';
import { type ClientExchange, type ClientRequest, sendRequest } from './sim-client.ts';
import { listenSim } from './sim-listen.ts';
import { type Accept, Network, placeOf, type WireOptions } from './sim-network.ts';
import { seededRandom } from './sim-random.ts';
import { Schedule } from './sim-schedule.ts';
import { type ThreadMain, type ThreadStatus, Threads } from './sim-threads.ts';

/** What a sim may be told; all but the seed have defaults. */
export interface SimOptions extends Partial<WireOptions> {
  readonly seed: number;
  /** Note where the timers of threads were set, for the census; it costs a stack each. */
  readonly noteTimers?: boolean;
}

/** What is open in a sim, whoever has it. */
export interface SimCensus {
  /** Ends of connections. */
  readonly sockets: number;
  /** Addresses that somebody listens on, scripted servers included. */
  readonly places: number;
  readonly children: number;
  /** Events that are still to come, timers included. */
  readonly events: number;
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
  /** Lets attempts to connect to an address go nowhere for two minutes; returns a function that ends that. */
  silence(address: SocketAddress): () => void;
  /** Makes a command known to spawn(). */
  program(command: string, program: Program): void;
  /** Makes a module known to startWorker(): what its threads do. */
  thread(moduleUrl: string, main: ThreadMain): void;
  /** Every thread that there was, in the order of their start. */
  threads(): readonly ThreadStatus[];
  /** Uncaught errors that ended threads, and what their handlers of requests threw. */
  readonly threadFaults: readonly string[];
  census(): SimCensus;
  /** Feeds the simulated stdin; null ends it. */
  feedStdin(bytes: Uint8Array | null): void;
  /** All that was written to stdout and stderr so far. */
  written(): { readonly stdout: Uint8Array; readonly stderr: Uint8Array };
}

const DEFAULT_WIRE: WireOptions = {
  windowBytes: 64 * 1024,
  latencyMinMs: 0.05,
  latencyMaxMs: 0.5,
  splitShare: 0,
  joinShare: 0,
};

/** An error as the file system gives it. */
function fileError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: '${path}'`), { code });
}

function memoryFiles(): Files {
  const texts = new Map<string, string>();
  const watchers = new Set<{ readonly path: string; readonly onChange: () => void }>();
  const changed = (path: string): void => {
    for (const one of watchers) if (one.path === path) queueMicrotask(one.onChange);
  };
  const read = (path: string): Promise<string> => {
    const text = texts.get(path);
    return text === undefined ? Promise.reject(fileError('ENOENT', path)) : Promise.resolve(text);
  };
  return {
    readText: read,
    writeText(path, text) {
      texts.set(path, text);
      changed(path);
      return Promise.resolve();
    },
    makePrivateFolder: () => Promise.resolve(),
    createPrivate(path, text) {
      if (texts.has(path)) return Promise.reject(fileError('EEXIST', path));
      texts.set(path, text);
      changed(path);
      return Promise.resolve();
    },
    async rename(from, to) {
      texts.set(to, await read(from));
      texts.delete(from);
      changed(from);
      changed(to);
    },
    remove(path) {
      texts.delete(path);
      changed(path);
      return Promise.resolve();
    },
    exists: (path) => Promise.resolve(texts.has(path)),
    watch(path, onChange) {
      const one = { path, onChange };
      watchers.add(one);
      return () => void watchers.delete(one);
    },
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
    stdoutIsGone: false,
  };
  const feedStdin = (bytes: Uint8Array | null): void => {
    fed.push(bytes);
    schedule.soon(pump);
  };
  return { standard, feedStdin, written: () => ({ stdout: concat(stdout), stderr: concat(stderr) }) };
}

/** A fresh world; nothing of it is shared with another one. */
export function createSimRuntime(options: SimOptions): SimRuntime {
  const clock = new Schedule();
  const random = seededRandom(options.seed);
  // A stream of its own for the wires: how often the code under test draws does not change the delays.
  const network = new Network(clock, seededRandom(options.seed ^ 0x5eed), { ...DEFAULT_WIRE, ...options });
  const programs = new Programs(clock, (bytes) => network.cut(bytes));
  const { standard, feedStdin, written } = memoryStandard(clock);
  const connect: Runtime['connect'] = (address, tls, handler) =>
    network.connect(address, tls !== null, handler);
  const tellFault = (thrown: unknown): void => standard.writeStderr(encode(`${String(thrown)}\n`));
  const shared = {
    // A function of its arguments: there is nothing to simulate.
    aead: systemAead,
    files: memoryFiles(),
    standard,
    groupMemory: (groups: readonly number[]) => Promise.resolve(programs.memoryOf(groups)),
    heapBytes: () => 0,
    usage: () => ({ rssBytes: 0, cpuUserMs: 0, cpuSystemMs: 0, openFiles: null }),
  };
  let threadCount = 0;
  const threads = new Threads({
    ...{ clock, network, programs, shared },
    isNotingTimers: options.noteTimers ?? false,
    random: seededRandom(options.seed ^ 0x7ead),
    newRandom: () => seededRandom((options.seed ^ 0xace) + 0x9e37 * ++threadCount),
  });
  return {
    ...shared,
    name: 'sim',
    clock,
    random,
    scope: null,
    listen: (listenOptions, handler) => listenSim(network, listenOptions, handler, tellFault),
    connect,
    spawn: (spawnOptions, handler) => programs.spawn(spawnOptions, handler),
    startWorker: (moduleUrl, handler) => threads.start(moduleUrl, handler),
    channel: () => threads.channel(null),
    parallelism: 1,
    advance: (ms) => clock.advance(ms),
    runUntilIdle: () => clock.runUntilIdle(),
    request: (port, request) => sendRequest({ connect }, { host: '127.0.0.1', port }, request),
    accept(address, accept) {
      const unbind = network.bind(placeOf(address), accept);
      if (unbind === null) throw new GatewayError('GW_RUNTIME_LISTEN', `"${placeOf(address)}" is in use`);
      return unbind;
    },
    silence: (address) => network.silence(placeOf(address)),
    program: (command, program) => programs.register(command, program),
    thread: (moduleUrl, main) => threads.register(moduleUrl, main),
    threads: () => threads.status,
    threadFaults: threads.faults,
    census: () => ({
      sockets: network.openSockets,
      places: network.listening,
      children: programs.alive,
      events: clock.pending,
    }),
    feedStdin,
    written,
  };
}
