// One run: the whole gateway, its servers and its clients in a simulated world, played by a seed to its end and judged.
// Called by sim.test.ts and scripts/sim.ts. Promises: the same seed gives the same run; whatever goes wrong, even in the play itself, is a violation; nothing of
// the real world is touched.
import { GatewayError } from '../../src/base/errors.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { createLog } from '../../src/observe/log.ts';
import { createSimRuntime, type SimRuntime } from '../../src/runtime/sim.ts';
import { serveOrders } from '../../src/thread.ts';
import type { SimClient } from './client.ts';
import { Dice } from './dice.ts';
import { HttpServer } from './http-server.ts';
import { findMemoryLeaks, findOpenThings, findRemains } from './leaks.ts';
import { Ledger, type Violation } from './ledger.ts';
import { LegacyClient } from './legacy-client.ts';
import { ModernClient } from './modern-client.ts';
import { type ClientPlan, type Plan, planOf } from './plan.ts';
import { type Plant, planted } from './plants.ts';
import { portOf, snapshotOf, TIMES } from './snapshot.ts';
import { StdioServer } from './stdio-server.ts';
import { Trace } from './trace.ts';
import { Wires } from './wire.ts';

/** How to play a seed. */
export interface RunOptions {
  /** A bug to plant. */
  readonly plant?: Plant | null;
  /** Note where timers come from; costs time. */
  readonly isVerbose?: boolean;
}

/** What became of a run. */
export interface RunResult {
  readonly seed: number;
  readonly plan: Plan;
  readonly violations: readonly Violation[];
  readonly trace: Trace;
  readonly requests: number;
  readonly virtualMs: number;
}

const THREAD = new URL('../../src/thread.ts', import.meta.url).href;
/** By then the gateway listens, ms. */
const START_MS = 100;
/** Whatever clients do is over by then. */
const TRAFFIC_MS_MAX = 400_000;
/** What back-offs and breakers take at most. */
const RECOVERY_MS = 40_000;
/** Times that a server is asked whether all is well, besides one for each worker, and the pause between them, ms. */
const PROBES_MIN = 2;
const PROBE_PAUSE_MS = 2_000;
/** All that may be idle is gone by then: answers of people are waited for for ten minutes. */
const IDLE_MS = 700_000;
/** By then the kernel has given up whatever nobody answers. */
const KERNEL_MS = 130_000;
/** A drain has its time, and so have sessions, processes and listeners after it. */
const DRAIN_MS_MAX = 30_000;
/** Timers of a thread that waits for work: its sweep. */
const IDLE_TIMERS = 1;

/** Plays a seed to its end. */
export async function runSeed(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const plan = planOf(seed);
  const run = new Run(plan, options);
  try {
    await run.play();
  } catch (thrown) {
    run.ledger.violate(
      'the play goes on',
      thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown),
    );
  }
  const { ledger, trace, sim } = run;
  return {
    seed,
    plan,
    violations: ledger.violations,
    trace,
    requests: ledger.requests,
    virtualMs: sim.clock.now(),
  };
}

/** A client that can look whether a server is there. */
type Prober = ModernClient | LegacyClient;

class Run {
  readonly plan: Plan;
  readonly sim: SimRuntime;
  readonly trace: Trace;
  readonly ledger: Ledger;
  readonly #plant: Plant | null;
  readonly #servers: (HttpServer | StdioServer)[] = [];
  readonly #clients: SimClient[] = [];
  #epoch = 1;

  constructor(plan: Plan, { plant = null, isVerbose = false }: RunOptions) {
    const { seed, windowBytes, splitShare, joinShare } = plan;
    this.plan = plan;
    this.#plant = plant;
    this.sim = createSimRuntime({ seed, windowBytes, splitShare, joinShare, noteTimers: isVerbose });
    this.trace = new Trace(this.sim.clock);
    this.ledger = new Ledger(new Dice(seed ^ 0x1ed6e4), this.trace);
  }

  async play(): Promise<void> {
    const gateway = await this.#start();
    this.#makeServers();
    for (const { atMs, worker } of this.plan.deaths) this.#at(atMs, () => this.#kill(gateway, worker));
    for (const atMs of this.plan.reloads) this.#at(atMs, () => this.#reload(gateway));
    const clients = this.plan.clients.map((own, index) => this.#client(own, index, gateway.port));
    const done = Promise.all(clients.map((client) => client.play())).then(() => true);
    await (this.plan.drainAtMs === null
      ? this.#toTheEnd(gateway, done)
      : this.#cutShort(gateway, done, this.plan.drainAtMs));
    await this.sim.advance(KERNEL_MS);
    findRemains(this.sim, this.ledger, 0);
    for (const fault of this.sim.threadFaults)
      this.ledger.violate('no thread ends by an error', fault.slice(0, 600));
    this.#readLog();
  }

  #at(ms: number, act: () => void): void {
    this.sim.clock.after(ms, act);
  }

  async #start(): Promise<Gateway> {
    const { sim, plan } = this;
    sim.thread(THREAD, (runtime) =>
      serveOrders(this.#plant === null ? runtime : planted(this.#plant, runtime, this.plan.seed)),
    );
    const log = createLog(
      'error',
      { write: (line) => this.trace.note(`main: ${line.slice(0, 200)}`), wall: () => sim.clock.wall() },
      {},
    );
    const starting = startGateway({
      runtime: sim,
      snapshot: snapshotOf(plan, this.#epoch),
      log,
      scan: 'auto',
      logLevel: 'error',
      workers: plan.workers,
    });
    void starting.catch(() => undefined);
    await sim.advance(START_MS);
    const gateway = await starting;
    void gateway.died.then((error) => this.ledger.violate('the gateway lives', error.message));
    return gateway;
  }

  #makeServers(): void {
    const { sim, ledger, trace } = this;
    this.plan.servers.forEach((plan, index) => {
      const parts = { sim, ledger, trace, dice: new Dice(this.plan.seed ^ (0x5e1 + index)) };
      const server =
        plan.kind === 'http'
          ? new HttpServer({ ...parts, plan }, portOf(index))
          : new StdioServer({ ...parts, plan });
      this.#servers.push(server);
      const { dice } = parts;
      for (let change = dice.whole(0, 3); change > 0; change--)
        this.#at(dice.between(0, 12_000), () => server.tellChange());
    });
  }

  #client(own: ClientPlan, index: number, port: number): Prober {
    const { sim, plan, ledger, trace } = this;
    const dice = new Dice(plan.seed ^ (0xc11e + index));
    const wires = new Wires(sim, port, own.reuseShare, dice);
    const parts = { sim, plan, own, wires, ledger, trace, dice };
    const client = own.era === 'modern' ? new ModernClient(parts, index) : new LegacyClient(parts, index);
    this.#clients.push(client);
    return client;
  }

  // ── what happens to it ───────────────────────────────────────────────────────────────────────────────────────────

  #kill(gateway: Gateway, worker: number): void {
    if (this.ledger.isDraining) return;
    this.trace.note(`worker ${worker} dies`);
    gateway.endWorker(worker);
  }

  #reload(gateway: Gateway, isQuiet = false): void {
    if (this.ledger.isDraining) return;
    const epoch = ++this.#epoch;
    this.trace.note(`reload ${epoch}`);
    gateway.reload(snapshotOf(this.plan, epoch, isQuiet)).then(
      () => this.trace.note(`reload ${epoch} is in force`),
      (error: unknown) => {
        const isFair =
          error instanceof GatewayError && (this.plan.deaths.length > 0 || this.ledger.isDraining);
        if (!isFair) this.ledger.violate('reloads succeed', String(error));
      },
    );
  }

  // ── two ways to the end ──────────────────────────────────────────────────────────────────────────────────────────

  /** All do what they had in mind, then everything is well again, then nothing happens for a while, since nobody is watched any more either. */
  async #toTheEnd(gateway: Gateway, done: Promise<boolean>): Promise<void> {
    await this.#until(done, TRAFFIC_MS_MAX, 'the clients');
    for (const server of this.#servers) server.heal();
    await this.sim.advance(RECOVERY_MS);
    await this.#probe(gateway);
    this.#reload(gateway, true);
    await this.sim.advance(IDLE_MS);
    for (const client of this.#clients) client.leave();
    await this.sim.advance(START_MS);
    const warm = this.plan.servers.reduce(
      (sum, server) => sum + (server.kind === 'stdio' ? server.warm : 0),
      0,
    );
    findMemoryLeaks(gateway.memory, this.ledger, 'idle', warm);
    findOpenThings(this.sim, this.ledger, IDLE_TIMERS, warm);
    await this.#seeStats(gateway);
    await this.#drain(gateway);
  }

  /** The end comes while clients are at it. */
  async #cutShort(gateway: Gateway, done: Promise<boolean>, atMs: number): Promise<void> {
    await this.sim.advance(atMs);
    await this.#drain(gateway);
    for (const client of this.#clients) client.leave();
    await this.#until(done, TRAFFIC_MS_MAX, 'the clients');
    await this.sim.advance(TIMES.total);
  }

  async #drain(gateway: Gateway): Promise<void> {
    this.ledger.isDraining = true;
    this.trace.note('drain');
    await this.#until(
      gateway.drain().then(() => true),
      DRAIN_MS_MAX,
      'the drain',
    );
    for (const server of this.#servers) if (server instanceof HttpServer) server.stop();
    await this.sim.advance(START_MS);
    findMemoryLeaks(gateway.memory, this.ledger, 'drained', 0);
  }

  /** Everybody can use everything again. */
  async #probe(gateway: Gateway): Promise<void> {
    const { plan } = this;
    const paths = new Set(plan.clients.map(({ path }) => path));
    let index = 50;
    for (const path of [...paths].sort()) {
      for (const era of ['modern', 'legacy'] as const) {
        for (const { name } of plan.servers) {
          if (path !== '/mcp' && path !== `/mcp/${name}`) continue;
          const own: ClientPlan = { ...PROBER, name: `p${index}`, era, path };
          const client = this.#client(own, index++, gateway.port);
          await this.#until(this.#probeOne(client, name, `${era} at ${path}`), TRAFFIC_MS_MAX, 'a probe');
        }
      }
    }
  }

  /** A server that was taken for another than it is may be told apart by the first attempt, in each worker; the last one is to succeed. */
  async #probeOne(client: Prober, server: string, where: string): Promise<boolean> {
    let last = '';
    for (let tries = 0; tries < PROBES_MIN + this.plan.workers; tries++) {
      const { token, outcome, errorCode } = await client.probe(server);
      if (outcome === 'answer') return true;
      last = `${token} ended: ${outcome} ${errorCode ?? ''}`;
      await new Promise<void>((resolve) => void this.sim.clock.after(PROBE_PAUSE_MS, resolve));
    }
    this.ledger.violate('all is well in the end', `${where}, ${server}: ${last}`);
    return true;
  }

  async #seeStats(gateway: Gateway): Promise<void> {
    const asked = gateway.stats();
    await this.sim.advance(START_MS);
    const { activeExchanges, sessions, upstreams } = await asked;
    const { ledger } = this;
    if (activeExchanges !== 0) ledger.violate('nothing is left behind', `idle: ${activeExchanges} exchanges`);
    if (sessions !== 0) ledger.violate('nothing is left behind', `idle: ${sessions} sessions`);
    for (const [name, { total, idle, busy, waiting }] of Object.entries(upstreams))
      if (total - idle + busy + waiting !== 0)
        ledger.violate(
          'nothing is left behind',
          `idle: ${name} has ${total} connections, ${busy} busy, ${waiting} waiting`,
        );
  }

  /** Lets time pass until a promise has settled. */
  async #until(promise: Promise<boolean>, withinMs: number, what: string): Promise<void> {
    let isDone = false;
    void promise.then(() => {
      isDone = true;
    });
    const { sim } = this;
    const endMs = sim.clock.now() + withinMs;
    await sim.advance(1);
    while (!isDone && sim.clock.now() < endMs) await sim.advance(50);
    if (!isDone) this.ledger.violate('everything ends', `${what}: not within ${withinMs} ms`);
    else await promise;
  }

  /** Errors that the threads logged are faults of their own, but for the few that tell of servers. */
  #readLog(): void {
    const { stderr } = this.sim.written();
    for (const line of new TextDecoder().decode(stderr).split('\n'))
      if (line !== '' && !EXPECTED.some((text) => line.includes(text)))
        this.ledger.violate('no fault of our own', `logged: ${line.slice(0, 400)}`);
  }
}

/** Errors that tell of servers, not of faults. */
const EXPECTED: readonly string[] = ['the MCP server is in a crash loop'];

const PROBER: Omit<ClientPlan, 'name' | 'era' | 'path'> = {
  startMs: 0,
  ids: 'numbers',
  reuseShare: 0,
  canAnswer: true,
  opensStream: false,
  endsSession: true,
  steps: [],
};
