// Several replicas of one MCP server as one upstream: who may have a request, and that what began at one stays there.
// Called by replicas.ts. Promises: the contract of upstream.ts; a legacy session stays where it began, and so does a task; one that is drained, whose breaker is
// open or that is found down or worse than the others gets nothing else while another can take it.
import { assert, must } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import { addNumbers } from '../memory/cells.ts';
import type { Clock, Random } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import { type Choice, createChoice } from './choice.ts';
import { TaskMarkingSink, type TaskRequest, taskRequest } from './replica-tasks.ts';
import type { BalanceSettings } from './spec.ts';
import type {
  ReplyHead,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
  UpstreamStats,
} from './upstream.ts';

/** One replica, and what is known of it across workers. */
export interface Replica {
  readonly upstream: Upstream;
  /** What it is known by: stays the same when others come or go. Left out: its number. */
  readonly name?: string;
  /** Its part of the requests, 0 = nothing new; left out: as that of others. */
  readonly weight?: number;
  /** Exchanges that it has under way or waiting, of all workers. */
  load(): number;
  /** True while its breaker would refuse a request. */
  refuses(nowMs: number): boolean;
  /** Share of its weight that it is to have now, 0 … 1, for what is found of it besides; left out: all. */
  standing?(nowMs: number): number;
  /** Told of each request of a legacy session that goes there, its own id in it; left out: nobody. */
  readonly onSession?: (request: UpstreamRequest) => void;
}

/** What choosing takes. */
export interface BalanceTools {
  readonly clock: Pick<Clock, 'soon' | 'now'>;
  readonly random: Pick<Random, 'fraction'>;
  readonly scanner: Scanner;
  /** Left out: the less busy of two. */
  readonly balance?: BalanceSettings;
  /** What ends with it: those who ask and judge the replicas. Left out: nobody does. */
  readonly companions?: readonly { stop(): Promise<void> | void }[];
}

/** Makes one upstream of two or more replicas. */
export function withReplicas(replicas: readonly Replica[], tools: BalanceTools): Upstream {
  return new BalancedUpstream(replicas, tools);
}

/** Between a replica's number and its own session id, in the id that goes out. */
const MARK = '.';

/** One replica, and its number. */
interface Chosen {
  readonly index: number;
  readonly upstream: Upstream;
}

const WEIGHT = 100;
const LEAST_BUSY: BalanceSettings = Object.freeze({
  policy: 'least-busy',
  hashOn: 'session',
  slowStartMs: 0,
});

/** How much of what is known of replicas counts; each is asked only when nobody is left by the one before. */
const CARE = Object.freeze({ all: 0, breakers: 1, none: 2 });
const NOBODY: readonly number[] = [];

class BalancedUpstream implements Upstream {
  readonly name: string;
  readonly transport: Upstream['transport'];
  readonly #replicas: readonly Replica[];
  readonly #tools: BalanceTools;
  readonly #choice: Choice;
  /** By replica: what it may get of the request at hand. */
  readonly #shares: Float64Array;

  constructor(replicas: readonly Replica[], tools: BalanceTools) {
    const { upstream } = must(replicas[0], 'a server has a replica');
    assert(
      replicas.some(({ weight = WEIGHT }) => weight > 0),
      'a server has a replica that is not drained',
    );
    this.name = upstream.name;
    this.transport = upstream.transport;
    this.#replicas = replicas;
    this.#tools = tools;
    const loads = replicas.map((replica) => () => replica.load());
    const names = replicas.map(({ name }, index) => name ?? `${index}`);
    this.#choice = createChoice(tools.balance ?? LEAST_BUSY, { loads, names, random: tools.random });
    this.#shares = new Float64Array(replicas.length);
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    if (request.session !== null) return this.#sendHome(request, request.session, sink);
    const tasked = taskRequest(request, this.#replicas.length);
    if (tasked !== null) return this.#sendTask(tasked, sink);
    const { index, upstream } = this.#any(request);
    // Nothing modern has a session: its reply is nobody's but the client's.
    return upstream.send(request, request.era === 'modern' ? sink : new MarkingSink(sink, index));
  }

  /** Of a client that knows tasks: what is about one goes to the replica that has it. */
  #sendTask({ method, home, request }: TaskRequest, sink: UpstreamSink): UpstreamCall {
    const { index, upstream } = home === null ? this.#any(request) : this.#at(home);
    const marking = new TaskMarkingSink(sink, this.#tools.scanner, index, method);
    if (request.marks !== undefined) request.marks.replica = index;
    return marking.started(upstream.send(request, marking));
  }

  /** One that the request was not sent to before, as far as there is one that takes it. */
  #any(request: UpstreamRequest): Chosen {
    const { tried } = request;
    const nowMs = this.#tools.clock.now();
    const isFound =
      (tried !== undefined && tried.length > 0 && this.#share(nowMs, CARE.all, tried)) ||
      this.#share(nowMs, CARE.all, NOBODY) ||
      this.#share(nowMs, CARE.breakers, NOBODY) ||
      this.#share(nowMs, CARE.none, NOBODY);
    assert(isFound, 'one replica at least is not drained');
    const index = this.#choice.choose(request, this.#shares);
    tried?.push(index);
    if (request.marks !== undefined) request.marks.replica = index;
    return this.#at(index);
  }

  /** Works out what each may get; false when none may get anything. */
  #share(nowMs: number, care: number, but: readonly number[]): boolean {
    let isAny = false;
    for (let i = 0; i < this.#replicas.length; i++) {
      const share = but.includes(i) ? 0 : this.#shareOf(must(this.#replicas[i], 'it is one'), nowMs, care);
      this.#shares[i] = share;
      if (share > 0) isAny = true;
    }
    return isAny;
  }

  #shareOf(replica: Replica, nowMs: number, care: number): number {
    const { weight = WEIGHT } = replica;
    if (weight === 0 || (care < CARE.none && replica.refuses(nowMs))) return 0;
    return care === CARE.all ? weight * (replica.standing?.(nowMs) ?? 1) : weight;
  }

  #at(index: number): Chosen {
    return { index, upstream: must(this.#replicas[index], 'it is one of them').upstream };
  }

  /** A session goes on where it began; the server's own id is told without our mark. */
  #sendHome(request: UpstreamRequest, marked: string, sink: UpstreamSink): UpstreamCall {
    const at = marked.indexOf(MARK);
    const index = at < 1 ? -1 : Number.parseInt(marked.slice(0, at), 36);
    const replica = this.#replicas[index];
    if (replica === undefined) return refused(this.#tools.clock, sink);
    const own = { ...request, session: marked.slice(at + MARK.length) };
    replica.onSession?.(own);
    if (request.marks !== undefined) request.marks.replica = index;
    return replica.upstream.send(own, new MarkingSink(sink, index));
  }

  stats(): UpstreamStats {
    return this.#replicas.map(({ upstream }) => upstream.stats()).reduce(addNumbers);
  }

  isPiped(): boolean {
    return this.#replicas.some(({ upstream }) => upstream.isPiped?.() === true);
  }

  nudged(): void {
    for (const { upstream } of this.#replicas) upstream.nudged?.();
  }

  sweep(): void {
    for (const { upstream } of this.#replicas) upstream.sweep?.();
  }

  async close(withinMs: number): Promise<void> {
    const { companions = [] } = this.#tools;
    const stopped = companions.map((one) => one.stop());
    await Promise.all([...stopped, ...this.#replicas.map(({ upstream }) => upstream.close(withinMs))]);
  }
}

function refused(clock: Pick<Clock, 'soon'>, sink: UpstreamSink): UpstreamCall {
  let isOver = false;
  clock.soon(() => {
    if (!isOver)
      sink.onFail(new GatewayError('GW_SESSION_UNKNOWN', 'its replica is not configured any more'));
  });
  return {
    resume: () => undefined,
    abort: () => {
      isOver = true;
    },
  };
}

/** Writes the replica's number before the session id of a reply. */
class MarkingSink implements UpstreamSink {
  readonly #sink: UpstreamSink;
  readonly #index: number;

  constructor(sink: UpstreamSink, index: number) {
    this.#sink = sink;
    this.#index = index;
  }

  onHead(head: ReplyHead): void {
    this.#sink.onHead(head.sessionId === null ? head : new MarkedHead(head, this.#index));
  }

  onData(bytes: Uint8Array): boolean {
    return this.#sink.onData(bytes);
  }

  onEnd(): void {
    this.#sink.onEnd();
  }

  onFail(error: GatewayError): void {
    this.#sink.onFail(error);
  }
}

class MarkedHead implements ReplyHead {
  readonly status: number;
  readonly media: ReplyHead['media'];
  readonly contentLength: number;
  readonly whole: boolean;
  readonly sessionId: string;
  readonly homed: boolean;
  readonly #head: ReplyHead;

  constructor(head: ReplyHead, index: number) {
    this.status = head.status;
    this.media = head.media;
    this.contentLength = head.contentLength;
    this.whole = head.whole;
    this.sessionId = `${index.toString(36)}${MARK}${head.sessionId ?? ''}`;
    this.homed = head.homed === true;
    this.#head = head;
  }

  header(name: string): string | null {
    return this.#head.header(name);
  }
}
