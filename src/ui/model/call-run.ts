// A call as it runs: what was sent, what came, how long each part took.
// Called by views/try-it.tsx (state), tests. Promises: a pure step from one state to the next; the same call is repeated in each round.
import type { Question, Reply, Round, ToolCall } from './mcp-call.ts';
import type { JsonObject } from './schema-fields.ts';

/** A step that the reader sees. */
export interface Step {
  readonly words: string;
  readonly tookMs: number | null;
  readonly data: JsonObject | null;
}

/** How a call stands. */
export interface Run {
  readonly call: ToolCall;
  readonly state: 'running' | 'asking' | 'done' | 'failed' | 'given up';
  readonly steps: readonly Step[];
  readonly questions: readonly Question[];
  /** To be given back with the answers. */
  readonly requestState: string | null;
  readonly result: JsonObject | null;
  readonly fault: string | null;
  /** Time spent waiting for the gateway, over all rounds. */
  readonly tookMs: number;
}

/** Rounds after which a server that asks for ever is left. */
const ROUNDS_MAX = 20;

/** A call that begins. */
export function begin(call: ToolCall): Run {
  const empty = { steps: [], questions: [], requestState: null, result: null, fault: null, tookMs: 0 };
  return { call, state: 'running', ...empty };
}

function noteStep(reply: Reply & { kind: 'note' }): Step {
  const { params, method } = reply;
  if (method === 'notifications/progress') {
    const whole = params.total === undefined ? '' : ` of ${String(params.total)}`;
    const message = typeof params.message === 'string' ? `: ${params.message}` : '';
    return { words: `Progress ${String(params.progress)}${whole}${message}`, tookMs: null, data: null };
  }
  if (method === 'notifications/message') {
    const data = typeof params.data === 'string' ? params.data : JSON.stringify(params.data);
    return { words: `${String(params.level)}: ${data}`, tookMs: null, data: null };
  }
  return { words: method, tookMs: null, data: params };
}

/** What a reply makes of a call; `tookMs` since its round began. */
export function after(run: Run, reply: Reply, tookMs: number): Run {
  if (reply.kind === 'note') return { ...run, steps: [...run.steps, noteStep(reply)] };
  const step = (words: string): Pick<Run, 'steps' | 'tookMs'> => ({
    steps: [...run.steps, { words, tookMs, data: null }],
    tookMs: run.tookMs + tookMs,
  });
  if (reply.kind === 'done')
    return { ...run, ...step('The result'), state: 'done', result: reply.result, questions: [] };
  if (reply.kind === 'error') {
    const data = reply.data === null ? '' : ` ${JSON.stringify(reply.data)}`;
    return {
      ...run,
      ...step('An error'),
      state: 'failed',
      fault: `${reply.words} (${reply.code})${data}`,
      questions: [],
    };
  }
  const rounds = run.steps.filter((one) => one.tookMs !== null).length;
  if (rounds >= ROUNDS_MAX)
    return {
      ...run,
      ...step('One more question'),
      state: 'failed',
      fault: `The server asked ${rounds} times`,
      questions: [],
    };
  const words = reply.questions.length === 0 ? 'The server wants to be asked again' : 'The server asks';
  return {
    ...run,
    ...step(words),
    state: 'asking',
    questions: reply.questions,
    requestState: reply.requestState,
  };
}

/** The next round: with the answers, and the state that belongs to them. */
export function roundOf(run: Run, inputResponses: JsonObject): Round {
  return { inputResponses, requestState: run.requestState };
}
