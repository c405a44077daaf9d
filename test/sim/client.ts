// What clients of both eras have in common: how they send, what they make of a reply, and which calls they owe the ledger.
// Called by modern-client.ts and legacy-client.ts. Promises: every exchange is judged once; whatever a client is given that is not its own is a violation.
import { ERRORS, type ErrorCode } from '../../src/base/errors.ts';
import type { HeaderRecord } from '../../src/runtime/runtime.ts';
import type { SimRuntime } from '../../src/runtime/sim.ts';
import { answerText } from './brain.ts';
import type { Dice } from './dice.ts';
import type { Call, Ledger } from './ledger.ts';
import type { ClientPlan, Plan, ServerPlan, Step } from './plan.ts';
import { EventReader, parseRpc, part, type Rpc, TokenWatch } from './rpc.ts';
import type { Trace } from './trace.ts';
import type { WireCall, WireReply, Wires } from './wire.ts';

/** What a client is made of. */
export interface ClientParts {
  readonly sim: SimRuntime;
  readonly plan: Plan;
  readonly own: ClientPlan;
  readonly wires: Wires;
  readonly ledger: Ledger;
  readonly trace: Trace;
  readonly dice: Dice;
}

/** A request of a client, and what may come back. */
export interface Asked {
  readonly verb?: 'POST' | 'GET' | 'DELETE';
  readonly message: Rpc | null;
  readonly headers: HeaderRecord;
  /** Tokens that may come back. */
  readonly tokens: ReadonlySet<string>;
  /** Told of each message as it comes. */
  readonly onMessage?: (message: Rpc) => void;
  readonly leavesAfterMs?: number | null;
  /** The client takes it back meanwhile: then no answer is owed. */
  readonly isTakenBack?: boolean;
}

/** What came back. */
export interface Heard {
  readonly reply: WireReply;
  readonly messages: readonly Rpc[];
  /** The response to the request, if there was one. */
  readonly response: Rpc | null;
}

/** No exchange may take longer than this, ms: beyond every bound of the gateway. */
const PATIENCE_MS = 150_000;
/** What a refusal by the head alone says, which knows no id. */
const HEAD_REFUSALS: readonly string[] = ['GW_SERVER_DRAINING', 'GW_SERVER_BUSY'];

/** A tool's name as the client's endpoint has it. */
export abstract class SimClient {
  protected readonly parts: ClientParts;
  /** All that it still waits for. */
  running = 0;
  #nextId: number;

  constructor(parts: ClientParts, index: number) {
    this.parts = parts;
    this.#nextId = parts.plan.hasUniqueIds ? 1 + index * 1_000 : 1;
  }

  get name(): string {
    return `${this.parts.own.name}-${this.parts.own.era}`;
  }

  get credentials(): string {
    return `Bearer ${this.parts.own.name}`;
  }

  /** Plays its part; resolves when it has no more to do. */
  abstract play(): Promise<void>;

  /** Goes away at once, whatever it waits for. */
  leave(): void {
    this.parts.wires.close();
  }

  protected newId(): string | number {
    const id = this.#nextId++;
    return this.parts.own.ids === 'numbers' ? id : `${id}`;
  }

  protected sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.parts.sim.clock.after(ms, resolve);
    });
  }

  protected get isAggregate(): boolean {
    return this.parts.own.path === '/mcp' && this.parts.plan.servers.length > 1;
  }

  protected toolName(step: Step, tool: string): string {
    return this.isAggregate ? `${step.server}__${tool}` : tool;
  }

  protected uriOf(step: Step, token: string): string {
    return this.isAggregate ? `${step.server}+mem://${token}` : `mem://${token}`;
  }

  protected serverOf(step: Step): ServerPlan {
    const { servers } = this.parts.plan;
    const found = servers.find(({ name }) => name === step.server);
    if (found === undefined) throw new Error(`no server ${step.server}`);
    return found;
  }

  /** Opens a call in the ledger. */
  protected openCall(step: Step, tool: string): Call {
    const server = this.serverOf(step);
    const { plan, ledger } = this.parts;
    return ledger.open({
      client: this.name,
      server: server.name,
      tool,
      credentials: server.kind === 'http' && server.forwardsCredentials ? this.credentials : null,
      // Reads change nothing, and a tool may say so of itself.
      isRepeatable: tool === 'peek' || tool === 'read',
      mayBeLate: server.kind === 'stdio' && server.speaks !== 'modern' && !isHealthy(server),
      mustSucceed: plan.deaths.length === 0 && isHealthy(server),
    });
  }

  /** Sends a request and hears what comes, to the end. */
  protected async exchange(asked: Asked): Promise<Heard> {
    const { sim, own, wires, ledger, trace } = this.parts;
    const { verb = 'POST', message, headers, tokens } = asked;
    const where = `${this.name} in the reply to ${message?.method ?? verb} ${String(message?.id)}`;
    const events = new EventReader();
    const watch = new TokenWatch();
    const messages: Rpc[] = [];
    ledger.requests++;
    this.running++;
    trace.note(`${this.name} sends ${verb} ${message?.method ?? ''} ${JSON.stringify(message?.id ?? null)}`);
    const call = wires.send({
      method: verb,
      path: own.path,
      headers: { accept: 'application/json, text/event-stream', authorization: this.credentials, ...headers },
      body: message === null ? '' : JSON.stringify(message),
      onText: (text) => {
        ledger.delivered(watch.push(text), tokens, where);
        for (const one of events.push(text)) {
          messages.push(one);
          asked.onMessage?.(one);
        }
      },
    });
    const impatience = sim.clock.after(PATIENCE_MS, () => {
      ledger.violate('every request gets its reply', `${where}: none within ${PATIENCE_MS} ms`);
      call.leave();
    });
    const leaving = this.#leaveLater(call, asked.leavesAfterMs ?? null);
    const reply = await call.reply;
    sim.clock.cancel(impatience);
    sim.clock.cancel(leaving);
    this.running--;
    trace.note(
      `${this.name} hears ${reply.end} ${reply.status} for ${String(message?.id)}: ${messages.length} events, ${reply.text.length} characters`,
    );
    const isEvents = reply.headers['content-type']?.startsWith('text/event-stream') === true;
    const whole = isEvents ? null : parseRpc(reply.text);
    const all = whole === null ? messages : [whole];
    return { reply, messages: all, response: this.#judge(asked, reply, all, where) };
  }

  #leaveLater(call: WireCall, ms: number | null): number {
    return ms === null ? 0 : this.parts.sim.clock.after(ms, () => call.leave());
  }

  /** Finds the response to the request, and whatever is not to be beside it. */
  #judge(asked: Asked, reply: WireReply, messages: readonly Rpc[], where: string): Rpc | null {
    const { ledger } = this.parts;
    // A client's own answer names a request of the server.
    const id = asked.message?.method === undefined ? undefined : asked.message.id;
    const responses = messages.filter(({ method }) => method === undefined);
    const gw = (message: Rpc): unknown => part(message.error, 'data').gw;
    for (const message of responses)
      if (gw(message) === 'GW_BASE_INTERNAL')
        ledger.violate('no fault of our own', `${where}: ${JSON.stringify(message).slice(0, 200)}`);
    if (id === undefined) return null;
    const own = responses.filter((message) => message.id === id);
    const faults = [...asked.tokens].flatMap((token) => ledger.calls.get(token)?.faults ?? []);
    const isDisturbed = faults.length > 0 || !this.isTrusted;
    const foreign = responses.find(
      (message) => message.id !== id && !HEAD_REFUSALS.includes(String(gw(message))),
    );
    if (foreign !== undefined && !isDisturbed)
      ledger.violate(
        'replies bear the id of their request',
        `${where} came ${JSON.stringify(foreign).slice(0, 200)}`,
      );
    if (own.length > 1 && !isDisturbed)
      ledger.violate('one reply for every request', `${where} came ${own.length}`);
    if (
      reply.end === 'whole' &&
      responses.length === 0 &&
      !isDisturbed &&
      !ledger.isDraining &&
      asked.isTakenBack !== true
    )
      ledger.violate(
        'every request gets its reply',
        `${where} came ${reply.status} and no answer: ${reply.text.slice(0, 100)}`,
      );
    return own[0] ?? responses[0] ?? null;
  }

  /** True when no server that this client's endpoint leads to does anything wrong by itself. */
  protected get isTrusted(): boolean {
    const { plan, own } = this.parts;
    return plan.servers.every(
      (server) => isHealthy(server) || (own.path !== '/mcp' && own.path !== `/mcp/${server.name}`),
    );
  }

  /** Enters in the ledger how a call ended; `heard` is the last exchange of it. */
  protected close(call: Call, { reply, response }: Heard): void {
    const { ledger } = this.parts;
    if (reply.end === 'left') return ledger.close(call, 'left');
    if (reply.end !== 'whole' && response === null)
      return ledger.close(call, 'broken', `${reply.end} ${reply.status}`);
    if (response === null)
      return ledger.close(call, 'error', `HTTP ${reply.status} ${reply.text.slice(0, 100)}`);
    if (response.error !== undefined) {
      const { gw } = part(response.error, 'data');
      const code = typeof gw === 'string' && gw in ERRORS ? (gw as ErrorCode) : null;
      // The processes of a server that a reload has changed are replaced, and what was in them with them.
      if (code === 'GW_SESSION_UNKNOWN' && this.parts.plan.reloads.length > 0) call.mustSucceed = false;
      return ledger.close(call, 'error', JSON.stringify(response.error).slice(0, 300), code);
    }
    const text = textOf(response);
    const wanted = answerText(call.tool, call.token);
    const isRight = call.tool === 'big' ? text.startsWith(wanted) : text === wanted;
    if (response.result?.isError === true) return ledger.close(call, 'error', text.slice(0, 100));
    if (!isRight && call.faults.length === 0)
      ledger.violate(
        'answers are what the server said',
        `${call.token}: ${JSON.stringify(response).slice(0, 200)}`,
      );
    ledger.close(call, isRight ? 'answer' : 'error', isRight ? '' : 'another answer');
  }

  /** Looks at a list of tools: with nobody disturbed, it holds what there is. */
  protected seeTools(heard: Heard, page: 'first' | 'whole'): void {
    const { ledger, plan } = this.parts;
    const tools = heard.response?.result?.tools;
    if (heard.response?.result === undefined || page === 'first') return;
    if (!Array.isArray(tools))
      ledger.violate('lists are lists', JSON.stringify(heard.response).slice(0, 200));
    else if (plan.mood === 'calm' && tools.length === 0)
      ledger.violate('lists hold what there is', this.name);
  }
}

/** True for a server that does nothing wrong by itself. */
export function isHealthy(server: ServerPlan): boolean {
  return server.faultShare === 0 && server.downs.length === 0;
}

/** The text of a tool's or a resource's result. */
function textOf(response: Rpc): string {
  const { content, contents } = response.result ?? {};
  const first: unknown = Array.isArray(content) ? content[0] : Array.isArray(contents) ? contents[0] : null;
  const text = typeof first === 'object' && first !== null && 'text' in first ? first.text : null;
  return typeof text === 'string' ? text : '';
}
