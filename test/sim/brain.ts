// What a simulated MCP server does with a request, whatever its transport: tools that echo their token, lists, a question in the middle of a call.
// Called by http-server.ts and stdio-server.ts. Promises: every execution is entered in the ledger when it begins; an answer bears the token of its request.
import type { Era } from '../../src/upstream/upstream.ts';
import type { Dice } from './dice.ts';
import type { Call, Ledger } from './ledger.ts';
import type { ServerPlan } from './plan.ts';
import { LEGACY, META, MODERN, part, type Rpc, tokensIn } from './rpc.ts';

/** The way back to whoever asked. */
export interface Channel {
  readonly era: Era;
  /** What the server was shown of the client; null: nothing. */
  readonly credentials: string | null;
  /** Says something about the request, before its answer. */
  notify(message: Rpc): void;
  /** Asks the client in the middle of the call; false where that cannot be done. */
  ask(method: string, params: Readonly<Record<string, unknown>>, onAnswer: (answer: Rpc) => void): boolean;
  answer(message: Rpc): void;
}

/** What text an answer bears. */
export function answerText(tool: string, token: string): string {
  return `${tool}:${token}`;
}

/** What a client answers to the question of a call. */
export function replyText(token: string): string {
  return `said:${token}`;
}

const TOOLS = [
  { name: 'echo' },
  { name: 'peek', annotations: { readOnlyHint: true, idempotentHint: true } },
  { name: 'work' },
  { name: 'ask' },
  { name: 'big' },
] as const;

/** Tools that a list is to have. */
export const TOOL_NAMES: readonly string[] = TOOLS.map((tool) => tool.name);

const FIRST_PAGE = 3;
const PAGE_TWO = 'page two';

/** One server's mind. */
export class Brain {
  readonly plan: ServerPlan;
  readonly ledger: Ledger;
  readonly dice: Dice;
  readonly #later: (ms: number, callback: () => void) => void;

  constructor(parts: {
    plan: ServerPlan;
    ledger: Ledger;
    dice: Dice;
    later: (ms: number, callback: () => void) => void;
  }) {
    this.plan = parts.plan;
    this.ledger = parts.ledger;
    this.dice = parts.dice;
    this.#later = parts.later;
  }

  /** Serves a request other than initialize, discover and listen. */
  serve(message: Rpc, channel: Channel): void {
    const { id, method = '', params = {} } = message;
    const done = (result: Readonly<Record<string, unknown>>): void =>
      channel.answer({ jsonrpc: '2.0', id, result: this.#dressed(result, channel.era) } as Rpc);
    const think = (act: () => void): void => this.#later(this.dice.between(0, this.plan.thinksMs), act);
    switch (method) {
      case 'ping':
        return done({});
      case 'tools/list':
        return done(
          this.#cacheable(
            channel.era,
            params.cursor === PAGE_TWO
              ? { tools: TOOLS.slice(FIRST_PAGE).map(described) }
              : { tools: TOOLS.slice(0, FIRST_PAGE).map(described), nextCursor: PAGE_TWO },
          ),
        );
      case 'prompts/list':
        return done(this.#cacheable(channel.era, { prompts: [] }));
      case 'resources/list':
        return done(this.#cacheable(channel.era, { resources: [] }));
      case 'resources/templates/list':
        return done(this.#cacheable(channel.era, { resourceTemplates: [] }));
      case 'resources/read': {
        const uri = String(params.uri);
        const token = tokensIn(uri)[0] ?? uri;
        if (this.#execute(token, channel) === null) return;
        return think(() =>
          done(this.#cacheable(channel.era, { contents: [{ uri, text: answerText('read', token) }] })),
        );
      }
      case 'logging/setLevel':
      case 'resources/subscribe':
      case 'resources/unsubscribe':
        return done({});
      case 'tools/call':
        return this.#tool(message, channel, done, think);
      default:
        channel.answer({ jsonrpc: '2.0', id, error: { code: -32601, message: `no ${method}` } } as Rpc);
    }
  }

  #execute(token: string, channel: Channel): Call | null {
    return this.ledger.executed(token, this.plan.name, channel.credentials);
  }

  #tool(
    message: Rpc,
    channel: Channel,
    done: (result: Readonly<Record<string, unknown>>) => void,
    think: (act: () => void) => void,
  ): void {
    const { params = {} } = message;
    const tool = String(params.name);
    const token = String(part(params, 'arguments').token);
    const say = (text: string): void => done({ content: [{ type: 'text', text }] });
    if (tool === 'ask' && channel.era === 'modern') return this.#askModern(params, token, channel, done);
    if (this.#execute(token, channel) === null) return say('who is that?');
    if (tool === 'ask') return this.#askLegacy(token, channel, say);
    if (tool === 'work') return this.#work(message, token, channel, () => say(answerText(tool, token)));
    const padding = tool === 'big' ? 'x'.repeat(this.dice.pick([20_000, 70_000, 300_000])) : '';
    think(() => say(`${answerText(tool, token)}${padding}`));
  }

  /** Reports progress where it was asked for, then is done. */
  #work(message: Rpc, token: string, channel: Channel, done: () => void): void {
    const { progressToken } = part(message.params, '_meta');
    let left = this.dice.whole(1, 3);
    const go = (): void => {
      if (left-- === 0) return done();
      if (progressToken !== undefined)
        channel.notify({
          jsonrpc: '2.0',
          method: 'notifications/progress',
          params: { progressToken, progress: 10 - left, message: `at ${token}` },
        });
      this.#later(this.dice.between(0, this.plan.thinksMs), go);
    };
    go();
  }

  #askModern(
    params: Readonly<Record<string, unknown>>,
    token: string,
    channel: Channel,
    done: (result: Readonly<Record<string, unknown>>) => void,
  ): void {
    const state = `state:${token}`;
    if (params.requestState === undefined) {
      const known = this.ledger.calls.get(token);
      if (known === undefined)
        this.ledger.violate('nothing is invented', `${this.plan.name} was asked by ${token}`);
      return done({
        resultType: 'input_required',
        requestState: state,
        inputRequests: { who: { method: 'elicitation/create', params: question(token) } },
      });
    }
    if (params.requestState !== state)
      this.ledger.violate('state goes where it belongs', `${token} came with ${String(params.requestState)}`);
    if (this.#execute(token, channel) === null) return;
    this.#hear(token, part(part(params, 'inputResponses'), 'who'));
    done({ content: [{ type: 'text', text: answerText('ask', token) }] });
  }

  #askLegacy(token: string, channel: Channel, say: (text: string) => void): void {
    const isAsked = channel.ask('elicitation/create', question(token), (answer) => {
      if (answer.result !== undefined) this.#hear(token, answer.result);
      say(answerText('ask', token));
    });
    if (!isAsked) say(answerText('ask', token));
  }

  /** An answer to a question of a call; a refusal bears none. */
  #hear(token: string, answer: Readonly<Record<string, unknown>>): void {
    if (answer.action !== 'accept') return;
    const { said } = part(answer, 'content');
    if (said !== replyText(token))
      this.ledger.violate(
        'answers go where they belong',
        `${token} was answered with ${JSON.stringify(said)}`,
      );
  }

  /** The result of initialize. */
  initializeResult(): Readonly<Record<string, unknown>> {
    return {
      protocolVersion: LEGACY,
      capabilities: { tools: { listChanged: true }, resources: {}, prompts: {}, logging: {} },
      serverInfo: { name: this.plan.name, version: '1' },
    };
  }

  /** The result of server/discover. */
  discoverResult(): Readonly<Record<string, unknown>> {
    return this.#dressed(
      this.#cacheable('modern', {
        supportedVersions: [MODERN],
        capabilities: { tools: { listChanged: true }, resources: {}, prompts: {} },
      }),
      'modern',
    );
  }

  #cacheable(era: Era, result: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    return era === 'modern' ? { ...result, ttlMs: 0, cacheScope: 'private' } : result;
  }

  #dressed(result: Readonly<Record<string, unknown>>, era: Era): Readonly<Record<string, unknown>> {
    if (era === 'legacy') return result;
    return {
      resultType: 'complete',
      _meta: { [META.server]: { name: this.plan.name, version: '1' } },
      ...result,
    };
  }
}

function described(tool: (typeof TOOLS)[number]): Readonly<Record<string, unknown>> {
  return { ...tool, inputSchema: { type: 'object', properties: { token: { type: 'string' } } } };
}

function question(token: string): Readonly<Record<string, unknown>> {
  const properties = { said: { type: 'string' } };
  return { mode: 'form', message: `who is ${token}?`, requestedSchema: { type: 'object', properties } };
}
