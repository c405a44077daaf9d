// Several replicas of one MCP server as one upstream: each request goes to the less busy of two that are drawn at random.
// Called by create.ts. Promises: the contract of upstream.ts; what a legacy session began at one replica stays there; a replica whose breaker is open
// gets nothing while another can take it. Source of the choice: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001.
import { must } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import { addNumbers } from '../memory/cells.ts';
import type { Clock, Random } from '../runtime/runtime.ts';
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
  /** Exchanges that it has under way or waiting, of all workers. */
  load(): number;
  /** True while its breaker would refuse a request. */
  refuses(): boolean;
}

/** What choosing takes. */
export interface BalanceTools {
  readonly clock: Pick<Clock, 'soon'>;
  readonly random: Pick<Random, 'fraction'>;
}

/** Makes one upstream of two or more replicas. */
export function withReplicas(replicas: readonly Replica[], tools: BalanceTools): Upstream {
  return new BalancedUpstream(replicas, tools);
}

/** Between a replica's number and its own session id, in the id that goes out. */
const MARK = '.';

class BalancedUpstream implements Upstream {
  readonly name: string;
  readonly transport: Upstream['transport'];
  readonly #replicas: readonly Replica[];
  readonly #tools: BalanceTools;

  constructor(replicas: readonly Replica[], tools: BalanceTools) {
    const { upstream } = must(replicas[0], 'a server has a replica');
    this.name = upstream.name;
    this.transport = upstream.transport;
    this.#replicas = replicas;
    this.#tools = tools;
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    if (request.session !== null) return this.#sendHome(request, request.session, sink);
    const index = this.#choose();
    const { upstream } = must(this.#replicas[index], 'the chosen one is one of them');
    // Nothing modern has a session: its reply is nobody's but the client's.
    return upstream.send(request, request.era === 'modern' ? sink : new MarkingSink(sink, index));
  }

  /** A session goes on where it began; the server's own id is told without our mark. */
  #sendHome(request: UpstreamRequest, marked: string, sink: UpstreamSink): UpstreamCall {
    const at = marked.indexOf(MARK);
    const index = at < 1 ? -1 : Number.parseInt(marked.slice(0, at), 36);
    const replica = this.#replicas[index];
    if (replica === undefined) return refused(this.#tools.clock, sink);
    const session = marked.slice(at + MARK.length);
    return replica.upstream.send({ ...request, session }, new MarkingSink(sink, index));
  }

  /** The less busy of two different ones; what refuses counts as busier than anything that does not. */
  #choose(): number {
    const count = this.#replicas.length;
    const first = Math.floor(this.#tools.random.fraction() * count);
    const second = (first + 1 + Math.floor(this.#tools.random.fraction() * (count - 1))) % count;
    const better = this.#isBetter(second, first) ? second : first;
    if (!this.#refuses(better)) return better;
    // Both refuse: any other that does not, and if there is none, whichever was drawn.
    const spare = this.#replicas.findIndex((replica) => !replica.refuses());
    return spare >= 0 ? spare : first;
  }

  #isBetter(a: number, b: number): boolean {
    const isOut = this.#refuses(a);
    if (isOut !== this.#refuses(b)) return !isOut;
    return this.#load(a) < this.#load(b);
  }

  #refuses(index: number): boolean {
    return this.#replicas[index]?.refuses() ?? true;
  }

  #load(index: number): number {
    return this.#replicas[index]?.load() ?? 0;
  }

  stats(): UpstreamStats {
    return this.#replicas.map(({ upstream }) => upstream.stats()).reduce(addNumbers);
  }

  nudged(): void {
    for (const { upstream } of this.#replicas) upstream.nudged?.();
  }

  sweep(): void {
    for (const { upstream } of this.#replicas) upstream.sweep?.();
  }

  async close(withinMs: number): Promise<void> {
    await Promise.all(this.#replicas.map(({ upstream }) => upstream.close(withinMs)));
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
