// A client of 2025-11-25: a session, its own event stream, questions answered while the call goes on.
// Called by world.ts. Promises: those of client.ts; it begins a session anew that is not known any more.
import { replyText } from './brain.ts';
import { type Heard, SimClient } from './client.ts';
import type { Call } from './ledger.ts';
import type { Step } from './plan.ts';
import { LEGACY, type Rpc, TokenWatch, tokensIn } from './rpc.ts';

/** Times that it tries to begin a session, and the pause between them, ms. */
const TRIES_MAX = 6;
const PAUSE_MS = 400;
/** Status of a session that is not known. */
const UNKNOWN = 404;

export class LegacyClient extends SimClient {
  #session: string | null = null;
  #isOpen = false;
  /** The beginning of a session that is under way. */
  #opening: Promise<boolean> | null = null;
  #endStream: (() => void) | null = null;
  /** Tokens that may come on the session's own stream. */
  readonly #tokens = new Set<string>();

  async play(): Promise<void> {
    const { own } = this.parts;
    await this.sleep(own.startMs);
    if (!(await this.#open())) return;
    const all: Promise<unknown>[] = [];
    for (const step of own.steps) {
      await this.sleep(step.afterMs);
      const done = this.#do(step);
      all.push(done);
      if (step.isAwaited) await done;
    }
    await Promise.all(all);
    await this.bye();
  }

  /** One call that is to succeed at once, in a session that it is to have: nothing is wrong any more. */
  async probe(server: string): Promise<Call> {
    const call = await this.#call({ ...PROBE, server }, 'echo');
    await this.bye();
    return call;
  }

  /** Leaves, with or without a word. */
  async bye(): Promise<void> {
    this.#endStream?.();
    if (!this.#isOpen || !this.parts.own.endsSession) return;
    this.#isOpen = false;
    await this.exchange({ verb: 'DELETE', message: null, headers: this.#headers(), tokens: new Set() });
  }

  #headers(): Record<string, string> {
    return {
      'content-type': 'application/json',
      ...(this.#isOpen ? { 'mcp-protocol-version': LEGACY } : {}),
      ...(this.#session === null ? {} : { 'mcp-session-id': this.#session }),
    };
  }

  #open(): Promise<boolean> {
    if (this.#isOpen) return Promise.resolve(true);
    this.#opening ??= this.#begin().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #begin(): Promise<boolean> {
    const { canAnswer, name, opensStream } = this.parts.own;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      this.#session = null;
      const params = {
        protocolVersion: LEGACY,
        capabilities: canAnswer ? { elicitation: {} } : {},
        clientInfo: { name, version: '1' },
      };
      const heard = await this.#request('initialize', params, new Set());
      if (heard.response?.result !== undefined) {
        this.#session = heard.reply.headers['mcp-session-id'] ?? null;
        this.#isOpen = true;
        await this.#notify({ jsonrpc: '2.0', method: 'notifications/initialized' });
        if (opensStream) void this.#stream();
        return true;
      }
      const { ledger, plan } = this.parts;
      if (plan.mood === 'calm' && !ledger.isDraining && heard.reply.end !== 'left')
        ledger.violate(
          'what nothing disturbs succeeds',
          `${this.name} cannot begin a session: ${heard.reply.end} ${heard.reply.text.slice(0, 200)}`,
        );
      await this.sleep(PAUSE_MS * (tries + 1));
    }
    return false;
  }

  async #notify(message: Rpc): Promise<void> {
    await this.exchange({ message, headers: this.#headers(), tokens: new Set() });
  }

  /** The session's own stream, until the client or the gateway ends it. */
  async #stream(): Promise<void> {
    const { sim } = this.parts;
    let leave: () => void = () => undefined;
    this.#endStream = () => leave();
    const { own, wires, ledger } = this.parts;
    const watch = new TokenWatch();
    const call = wires.send({
      method: 'GET',
      path: own.path,
      headers: { accept: 'text/event-stream', authorization: this.credentials, ...this.#headers() },
      body: '',
      onText: (text) => ledger.delivered(watch.push(text), this.#tokens, `${this.name} on its stream`),
    });
    leave = () => call.leave();
    // A stream has no end of its own.
    const timer = sim.clock.after(STREAM_MS, leave);
    await call.reply;
    sim.clock.cancel(timer);
    this.#endStream = null;
  }

  #request(
    method: string,
    params: Readonly<Record<string, unknown>>,
    tokens: ReadonlySet<string>,
    step: Step | null = null,
  ): Promise<Heard> {
    const id = this.newId();
    return this.exchange({
      message: { jsonrpc: '2.0', id, method, params },
      headers: this.#headers(),
      tokens,
      leavesAfterMs: step?.leavesAfterMs ?? null,
      onMessage: (message) => {
        if (message.method !== undefined && message.id !== undefined) this.#asked(message, step);
      },
    });
  }

  /** The server asks in the middle of a call. */
  #asked(question: Rpc, step: Step | null): void {
    const { ledger, own, sim } = this.parts;
    const [token = ''] = tokensIn(JSON.stringify(question.params ?? {}));
    if (!own.canAnswer && this.isTrusted && token !== '' && this.#isBridged(token))
      ledger.violate('only those are asked who can answer', `${this.name} was asked about ${token}`);
    const answersAfterMs = step === null ? 0 : step.answersAfterMs;
    if (answersAfterMs === null) return;
    sim.clock.after(answersAfterMs, () => {
      const result = own.canAnswer
        ? { action: 'accept', content: { said: replyText(token) } }
        : { action: 'decline' };
      void this.#notify({ jsonrpc: '2.0', id: question.id, result } as Rpc);
    });
  }

  /** True where the gateway itself asks the client, for a modern server. */
  #isBridged(token: string): boolean {
    const { plan, ledger } = this.parts;
    const name = ledger.calls.get(token)?.server;
    return plan.servers.some((server) => server.name === name && server.speaks === 'modern');
  }

  async #do(step: Step): Promise<unknown> {
    switch (step.deed) {
      case 'list':
      case 'discover':
        return this.#list();
      case 'ping':
        return this.#request('ping', {}, this.#anyTokens);
      case 'listen':
        return this.#request('logging/setLevel', { level: 'info' }, this.#anyTokens);
      case 'cancel':
        return this.#cancel(step);
      default:
        return this.#call(step, step.deed);
    }
  }

  async #list(): Promise<void> {
    let cursor: unknown;
    for (let page = 0; page < 4; page++) {
      const heard = await this.#request(
        'tools/list',
        cursor === undefined ? {} : { cursor },
        this.#anyTokens,
      );
      if (heard.reply.status === UNKNOWN) this.#isOpen = false;
      cursor = heard.response?.result?.nextCursor;
      this.seeTools(heard, cursor === undefined ? 'whole' : 'first');
      if (cursor === undefined) return;
    }
    if (this.isTrusted) this.parts.ledger.violate('lists end', this.name);
  }

  /** A call that its client takes back. */
  async #cancel(step: Step): Promise<void> {
    const call = this.openCall(step, 'work');
    call.mustSucceed = false;
    const id = this.newId();
    this.#tokens.add(call.token);
    const params = { name: this.toolName(step, 'work'), arguments: { token: call.token } };
    const exchange = this.exchange({
      message: { jsonrpc: '2.0', id, method: 'tools/call', params },
      headers: this.#headers(),
      tokens: this.#tokensOf(step, call),
      // The protocol leaves it to the server whether a call that was taken back is answered.
      leavesAfterMs: 2_000,
      isTakenBack: true,
    });
    await this.sleep(5);
    await this.#notify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } });
    const { reply, response } = await exchange;
    this.parts.ledger.close(
      call,
      response?.result !== undefined ? 'answer' : reply.end === 'left' ? 'left' : 'error',
    );
  }

  async #call(step: Step, tool: string): Promise<Call> {
    if (!(await this.#open())) return this.#uncalled(step, tool);
    const call = this.openCall(step, tool);
    this.#tokens.add(call.token);
    const tokens = this.#tokensOf(step, call);
    const heard =
      tool === 'read'
        ? await this.#request('resources/read', { uri: this.uriOf(step, call.token) }, tokens, step)
        : await this.#request(
            'tools/call',
            {
              name: this.toolName(step, tool),
              arguments: { token: call.token },
              _meta: { progressToken: `p-${call.token}` },
            },
            tokens,
            step,
          );
    // The next call begins a session anew.
    if (heard.reply.status === UNKNOWN) this.#isOpen = false;
    if (tool === 'ask') call.mustSucceed = false;
    this.close(call, heard);
    return call;
  }

  /** Tokens that may come with what is no call: none, but where a process is asked. */
  get #anyTokens(): ReadonlySet<string> {
    return this.parts.plan.servers.some(({ kind }) => kind === 'stdio') ? this.#tokens : new Set();
  }

  /** Tokens that may come with a call: a process does not say which call a question of it belongs to, so it may come on any stream of its client. */
  #tokensOf(step: Step, call: Call): ReadonlySet<string> {
    return this.serverOf(step).kind === 'stdio' ? this.#tokens : new Set([call.token]);
  }

  /** There is no session to call in. */
  #uncalled(step: Step, tool: string): Call {
    const call = this.openCall(step, tool);
    this.parts.ledger.close(call, 'error', 'no session');
    return call;
  }
}

/** Longer than anything else in a run. */
const STREAM_MS = 60_000;
const PROBE: Step = {
  afterMs: 0,
  deed: 'echo',
  server: '',
  leavesAfterMs: null,
  isAwaited: true,
  answersAfterMs: null,
};
