// A client of 2026-07-28: every request by itself, questions answered by sending the request again.
// Called by world.ts. Promises: those of client.ts.
import { replyText } from './brain.ts';
import { type Heard, SimClient } from './client.ts';
import type { Call } from './ledger.ts';
import type { Step } from './plan.ts';
import { META, MODERN, part, type Rpc } from './rpc.ts';

/** Rounds of questions that it goes along with. */
const ROUNDS_MAX = 4;

interface Sent {
  readonly tokens?: readonly string[];
  /** Value of Mcp-Name. */
  readonly name?: string;
  readonly leavesAfterMs?: number | null;
  readonly onMessage?: (message: Rpc, id: string | number) => void;
}

export class ModernClient extends SimClient {
  async play(): Promise<void> {
    const { own } = this.parts;
    await this.sleep(own.startMs);
    const all: Promise<unknown>[] = [];
    for (const step of own.steps) {
      await this.sleep(step.afterMs);
      const done = this.#do(step);
      all.push(done);
      if (step.isAwaited && step.deed !== 'listen') await done;
    }
    await Promise.all(all);
  }

  /** One call that is to succeed at once: nothing is wrong any more. */
  async probe(server: string): Promise<Call> {
    const step: Step = { ...PROBE, server };
    return this.#call(step, 'echo');
  }

  async #request(method: string, params: Readonly<Record<string, unknown>>, sent: Sent = {}): Promise<Heard> {
    const id = this.newId();
    const { canAnswer, name } = this.parts.own;
    const _meta = {
      [META.version]: MODERN,
      [META.client]: { name, version: '1' },
      [META.capabilities]: canAnswer ? { elicitation: { form: {} } } : {},
      ...part(params, '_meta'),
    };
    return this.exchange({
      message: { jsonrpc: '2.0', id, method, params: { ...params, _meta } },
      headers: {
        'content-type': 'application/json',
        'mcp-protocol-version': MODERN,
        'mcp-method': method,
        ...(sent.name === undefined ? {} : { 'mcp-name': sent.name }),
      },
      tokens: new Set(sent.tokens ?? []),
      leavesAfterMs: sent.leavesAfterMs ?? null,
      onMessage: (message) => sent.onMessage?.(message, id),
    });
  }

  async #do(step: Step): Promise<unknown> {
    switch (step.deed) {
      case 'list':
        return this.#list();
      case 'discover':
      case 'ping':
        return this.#request('server/discover', {});
      case 'listen':
        return this.#listen(step);
      case 'read':
        return this.#read(step);
      case 'cancel':
        return this.#call({ ...step, leavesAfterMs: step.leavesAfterMs ?? 5 }, 'work');
      default:
        return this.#call(step, step.deed);
    }
  }

  async #list(): Promise<void> {
    let cursor: unknown;
    for (let page = 0; page < 4; page++) {
      const heard = await this.#request('tools/list', cursor === undefined ? {} : { cursor });
      cursor = heard.response?.result?.nextCursor;
      this.seeTools(heard, cursor === undefined ? 'whole' : 'first');
      if (cursor === undefined) return;
    }
    if (this.isTrusted) this.parts.ledger.violate('lists end', this.name);
  }

  async #read(step: Step): Promise<Call> {
    const call = this.openCall(step, 'read');
    const uri = this.uriOf(step, call.token);
    const { leavesAfterMs } = step;
    this.close(
      call,
      await this.#request('resources/read', { uri }, { tokens: [call.token], name: uri, leavesAfterMs }),
    );
    return call;
  }

  async #call(step: Step, tool: string): Promise<Call> {
    const call = this.openCall(step, tool);
    const name = this.toolName(step, tool);
    const params = {
      name,
      arguments: { token: call.token },
      _meta: { progressToken: `p-${call.token}` },
    };
    const { leavesAfterMs } = step;
    let heard = await this.#request('tools/call', params, { tokens: [call.token], name, leavesAfterMs });
    for (let round = 0; heard.response?.result?.resultType === 'input_required'; round++) {
      const { result } = heard.response;
      if (step.answersAfterMs === null || round === ROUNDS_MAX) {
        this.parts.ledger.close(call, 'left');
        return call;
      }
      await this.sleep(step.answersAfterMs);
      call.isContinued = true;
      heard = await this.#request(
        'tools/call',
        { ...params, requestState: result.requestState, inputResponses: answersTo(result, call.token) },
        { tokens: [call.token], name, leavesAfterMs },
      );
    }
    // A client that cannot be asked is told so, and a state that waited for too long has expired.
    if (tool === 'ask') call.mustSucceed = false;
    this.close(call, heard);
    return call;
  }

  /** Hears of changes until it leaves. */
  async #listen(step: Step): Promise<void> {
    const { ledger } = this.parts;
    const filter = { notifications: { toolsListChanged: true } };
    await this.#request('subscriptions/listen', filter, {
      leavesAfterMs: step.leavesAfterMs ?? 200 + 10 * step.afterMs,
      onMessage: (message, id) => {
        if (message.method === undefined) return;
        const about = part(message.params, '_meta')[META.subscription];
        if (about !== id && this.isTrusted)
          ledger.violate(
            'events bear their subscription',
            `${this.name} listens as ${String(id)} and got ${JSON.stringify(message).slice(0, 200)}`,
          );
      },
    });
  }
}

const PROBE: Step = {
  afterMs: 0,
  deed: 'echo',
  server: '',
  leavesAfterMs: null,
  isAwaited: true,
  answersAfterMs: null,
};

/** The client's answers to all questions of a round. */
function answersTo(
  result: Readonly<Record<string, unknown>>,
  token: string,
): Readonly<Record<string, unknown>> {
  const answer = { action: 'accept', content: { said: replyText(token) } };
  return Object.fromEntries(Object.keys(part(result, 'inputRequests')).map((key) => [key, answer]));
}
