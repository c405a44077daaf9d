// A server's policies, and those of endpoints that want other ones for their calls: a chain of layers for each, around the one server.
// Called by worker/members.ts (makes it) and worker/roster.ts (tells it of a new snapshot). Promises: the contract of upstream.ts; which chain a request takes is one
// look into a map where there is such an endpoint, and nothing where there is none; a chain whose endpoint says the same as before goes on over a reload.
import type { Upstream, UpstreamCall, UpstreamRequest, UpstreamSink } from '../upstream/upstream.ts';
import { isToolsCall, toolOf } from './asked.ts';
import { Layer } from './layer.ts';
import { type EndpointRules, type PolicyParts, withPolicies } from './policies.ts';
import { ToolBook } from './tool-book.ts';

/** Endpoints of one server that have policies of their own, by their paths. */
export type RulesByPath = ReadonlyMap<string, EndpointRules>;

interface Chain {
  readonly rules: EndpointRules;
  readonly said: string;
  readonly upstream: Upstream;
}

/** Sends each request through the policies of the endpoint that it came by. */
export class EndpointPolicies extends Layer {
  readonly #server: Upstream;
  readonly #parts: PolicyParts;
  /** Null: no endpoint has any. */
  #chains: ReadonlyMap<string, Chain> | null = null;

  constructor(server: Upstream, parts: PolicyParts) {
    super(withPolicies(server, parts));
    this.#server = server;
    this.#parts = parts;
  }

  /** These endpoints have policies of their own from now on. What runs goes on by those that it began with. */
  adopt(rules: RulesByPath): void {
    const former = this.#chains;
    this.#chains =
      rules.size === 0
        ? null
        : new Map([...rules].map(([path, one]) => [path, this.#chain(one, former?.get(path))]));
  }

  #chain(rules: EndpointRules, former: Chain | undefined): Chain {
    const said = JSON.stringify([rules.name, rules.policy]);
    if (former?.said === said) return former;
    return {
      rules,
      said,
      upstream: withPolicies(new Shared(this.#server, this.#parts, rules), this.#parts, rules),
    };
  }

  /** What the endpoint of a path says of the cache; null when it says nothing. */
  cachingOf(path: string): boolean | null {
    return this.#chains?.get(path)?.rules.policy.isCached ?? null;
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const chains = this.#chains;
    const upstream =
      chains === null ? this.inner : (chains.get(request.client.endpoint)?.upstream ?? this.inner);
    return upstream.send(request, sink);
  }

  /** Each chain lets go of what waits in it; the server itself is closed through its own. */
  override async close(withinMs: number): Promise<void> {
    const chains = [...(this.#chains?.values() ?? [])];
    await Promise.all([
      ...chains.map(({ upstream }) => upstream.close(withinMs)),
      this.inner.close(withinMs),
    ]);
  }
}

/** The server as an endpoint's chain sees it: it belongs to all chains, so none of them closes it. */
class Shared extends Layer {
  readonly #book: ToolBook;
  /** Repeats of what no rule names. */
  readonly #retriesMax: number;
  readonly #mayBeOnce: boolean;

  constructor(server: Upstream, { spec, notes }: PolicyParts, { policy }: EndpointRules) {
    super(server);
    const { retries, tools = [] } = policy;
    this.#book = new ToolBook(spec, notes, tools);
    this.#retriesMax = retries?.max ?? spec.policy?.retries.max ?? 0;
    this.#mayBeOnce =
      retries?.max === 0 || tools.some((rule) => rule.retries === 0 || rule.idempotent === false);
  }

  /** What the endpoint wants sent once bears a mark: a bridge between eras knows the server's own rules alone. */
  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const isOnce = this.#mayBeOnce && isToolsCall(request) && this.#isSentOnce(toolOf(request));
    return this.inner.send(isOnce ? { ...request, isSentOnce: true } : request, sink);
  }

  #isSentOnce(name: string): boolean {
    const rule = this.#book.rule(name);
    return rule?.idempotent === false || (rule?.retries ?? this.#retriesMax) === 0;
  }

  override sweep(): void {}

  override nudged(): void {}

  override releaseShared(): void {}

  override close(): Promise<void> {
    return Promise.resolve();
  }
}
