// A world of one test for the policies around a server: a scripted server, a clock that the test moves, requests of both eras.
// Called by test/unit/policy/. Promises: the policies are those of policy/policies.ts in their order, of endpoints where a test adopts some; executions are what the script was asked.
import type { ErrorCode } from '../../../src/base/errors.ts';
import { CallCell } from '../../../src/memory/call-cell.ts';
import { createMemory, soloShape } from '../../../src/memory/memory.ts';
import { createLog } from '../../../src/observe/log.ts';
import { EndpointPolicies } from '../../../src/policy/endpoint-policies.ts';
import type { PolicyParts } from '../../../src/policy/policies.ts';
import { ToolNotes } from '../../../src/policy/tool-notes.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { portableScanner } from '../../../src/scan/portable.ts';
import { createFakeUpstream, type FakeReply, type FakeSent } from '../../../src/upstream/fake.ts';
import type { EndpointPolicySpec, HttpTarget, PolicySpec, ServerSpec } from '../../../src/upstream/spec.ts';
import type { Upstream, UpstreamCall, UpstreamRequest } from '../../../src/upstream/upstream.ts';
import { Caught, modern, type RequestParts, requestOf } from '../../fixtures/stdio-world.ts';
import { httpSpec, target } from '../upstream/http-world.ts';

/** No jitter to speak of: the sim's random numbers lie between a half and three halves of these. */
export const POLICY: PolicySpec = {
  retries: { max: 2, budgetPercent: 100, perSecondMin: 100, backoffMs: 20, backoffMaxMs: 100 },
  hedge: { enabled: false, afterPercentile: 95, minMs: 5, budgetPercent: 100 },
  idempotencyKey: 'never',
  concurrencyMax: 0,
  tools: [],
};

/** What a test changes about the policies and their server. */
export interface WorldParts {
  readonly policy?: Partial<PolicySpec>;
  readonly spec?: Partial<Omit<ServerSpec, 'target'>>;
  /** In place of the scripted server. */
  readonly server?: (world: PolicyWorld) => Upstream;
}

export const TOOLS = {
  tools: [
    { name: 'reader', annotations: { readOnlyHint: true } },
    { name: 'setter', annotations: { idempotentHint: true, destructiveHint: true } },
    { name: 'sender', annotations: { readOnlyHint: false, idempotentHint: false } },
    { name: 'silent' },
  ],
};

/** A reply in JSON to what was sent. */
export function answer(sent: FakeSent, result: object = { content: [] }): FakeReply {
  const { id } = JSON.parse(new TextDecoder().decode(sent.body));
  return { body: JSON.stringify({ jsonrpc: '2.0', id, result }) };
}

/** The same as one event of a stream. */
export function stream(...messages: readonly object[]): FakeReply {
  const body = messages.map((message) => `event: message\ndata: ${JSON.stringify(message)}\n\n`);
  return { headers: { 'content-type': 'text/event-stream' }, body };
}

/** Another place of the scripted server, for specs: nobody connects to it. */
export const REPLICA: HttpTarget = target({ host: 'other.example' });

/** The response to a call. */
export const result = (id: number): object => ({ jsonrpc: '2.0', id, result: { content: [] } });

/** A call's answer, or the code that it failed with. */
export function outcomeOf(caught: Caught): unknown {
  if (caught.failed !== null) return caught.failed.code;
  return caught.ended > 0 ? (caught.head?.status ?? 0) : 'pending';
}

export class PolicyWorld {
  readonly sim = createSimRuntime({ seed: 7 });
  readonly scanner = portableScanner();
  readonly memory = createMemory(soloShape(1, 2), this.sim.clock.wall());
  readonly cell = new CallCell(this.memory, 0, 0);
  readonly endpointCells = [0, 1].map((slot) => new CallCell(this.memory, slot, 0, 'endpoint'));
  /** What the server does with each request but lists; a list is answered at once. */
  script: (sent: FakeSent, index: number) => FakeReply = (sent) => answer(sent);
  #asked = 0;
  readonly fake = createFakeUpstream({
    clock: this.sim.clock,
    script: (sent) => {
      const message = JSON.parse(new TextDecoder().decode(sent.body));
      if (message.method === 'tools/list' && this.isListed) return answer(sent, TOOLS);
      return this.script(sent, this.#asked++);
    },
  });
  isListed = true;
  readonly parts: PolicyParts;
  readonly upstream: EndpointPolicies;

  constructor(parts: WorldParts = {}) {
    const spec = httpSpec({}, { ...parts.spec, policy: { ...POLICY, ...parts.policy } });
    this.parts = {
      spec,
      clock: this.sim.clock,
      random: this.sim.random,
      scanner: this.scanner,
      log: createLog('silent', { write: () => undefined, wall: () => 0 }),
      cell: () => this.cell,
      notes: new ToolNotes(spec.forwardHeaders.length > 0),
    };
    this.upstream = new EndpointPolicies(parts.server?.(this) ?? this.fake, this.parts);
  }

  /** Requests that the server was asked to do, lists aside, oldest first. */
  get sent(): readonly { readonly record: FakeSent; readonly message: Record<string, unknown> }[] {
    return this.fake.sent
      .map((record) => ({ record, message: JSON.parse(new TextDecoder().decode(record.body)) }))
      .filter(({ message }) => message.method !== 'tools/list' || !this.isListed);
  }

  /** Fails the first `times` requests with a code, answers the rest. */
  failing(times: number, fail: ErrorCode): void {
    this.script = (sent, index) => (index < times ? { fail } : answer(sent));
  }

  request(method: string, params: object, parts: RequestParts = {}): UpstreamRequest {
    return requestOf(modern(1, method, params), parts);
  }

  send(request: UpstreamRequest): { readonly caught: Caught; readonly call: UpstreamCall } {
    const caught = new Caught();
    return { caught, call: this.upstream.send(request, caught) };
  }

  /** Endpoints by their paths have these policies; `cells` counts their calls. */
  adopt(
    policies: Readonly<Record<string, EndpointPolicySpec>>,
    cells: readonly CallCell[] = this.endpointCells,
  ): void {
    const rules = Object.entries(policies).map(([path, policy], at) => {
      const cell = (): CallCell => cells[at] ?? this.cell;
      return [path, { name: path.slice('/mcp/'.length), policy, cell }] as const;
    });
    this.upstream.adopt(new Map(rules));
  }

  /** Calls a tool and waits until it is over, for `ms` at most. */
  async call(name: string, ms = 1_000, parts: RequestParts = {}): Promise<Caught> {
    const { caught } = this.send(this.request('tools/call', { name, arguments: {} }, parts));
    await this.sim.advance(ms);
    return caught;
  }

  /** A client reads the server's list. */
  async list(parts: RequestParts & { readonly headers?: readonly string[] } = {}): Promise<Caught> {
    const { headers = [], ...rest } = parts;
    const { caught } = this.send({ ...this.request('tools/list', {}, rest), headers });
    await this.sim.advance(5);
    return caught;
  }
}
