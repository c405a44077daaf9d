// What clients do in a soak: calls small and large, lists, reads, questions, progress, subscriptions, calls that are left.
// Called by clients.ts. Promises: a scene that ends well has seen its own data come back, whole; what is missing is a Trouble.
import type { Dice } from '../../test/sim/dice.ts';
import type { Ledger } from './ledger.ts';
import type { Place } from './places.ts';
import { ANSWER, CALL_MS_MAX, type LegacyClient, modern, type Reply, Trouble } from './rpc.ts';

/** A way to one server: its own endpoint, or the one of all. */
export interface Way {
  readonly place: Place;
  readonly url: string;
  name(own: string): string;
  uri(own: string): string;
}

/** Whoever asks: a modern client, or a legacy one in its session. */
export interface Asker {
  /** One request; `visit` hears what comes before the response. */
  ask(
    method: string,
    params: Readonly<Record<string, unknown>>,
    options?: {
      readonly progress?: boolean;
      readonly asked?: boolean;
      readonly abort?: AbortController;
      visit?(message: Reply): boolean | undefined;
    },
  ): Promise<Record<string, unknown>>;
  readonly legacy: LegacyClient | null;
}

/** All that a scene has at hand. */
export interface Stage {
  readonly asker: Asker;
  readonly way: Way;
  readonly dice: Dice;
  readonly ledger: Ledger;
  /** Names that the list of tools of the way's endpoint has to hold. */
  readonly tools: readonly string[];
}

/** What clients do, by name, and how often of a thousand times at a fixture. */
export const WEIGHTS = {
  call: 520,
  large: 40,
  list: 120,
  read: 130,
  prompt: 60,
  progress: 40,
  ask: 25,
  listen: 25,
  leave: 25,
  park: 15,
} as const;
/** The name of a scene. */
export type SceneName = keyof typeof WEIGHTS;
/** The same at an echo server, which has no more. */
export const ECHO_WEIGHTS: Readonly<Partial<Record<SceneName, number>>> = { call: 800, large: 80, list: 120 };

const SICK_WORD_MS = 3_000;
const WATCHED = 'test://watched-resource';

/** One scene. Rejects with a Trouble. */
export async function play(scene: SceneName, stage: Stage): Promise<void> {
  await SCENES[scene](stage);
}

function hold(isTrue: boolean, claim: string): void {
  if (!isTrue) throw new Trouble(claim);
}

function callTool(
  { asker, way }: Stage,
  tool: string,
  args: Readonly<Record<string, unknown>>,
  options: Parameters<Asker['ask']>[2] = {},
): Promise<Record<string, unknown>> {
  return asker.ask('tools/call', { name: way.name(tool), arguments: args }, options);
}

function textOf(result: Readonly<Record<string, unknown>>): string {
  const [block] = (Array.isArray(result.content) ? result.content : []) as { text?: string }[]; // both servers send text blocks alone
  return block?.text ?? '';
}

/** Calls echo and looks whether just that comes back. */
export async function echo(stage: Pick<Stage, 'asker' | 'way'>, text: string): Promise<void> {
  const { asker, way } = stage;
  const result = await asker.ask('tools/call', { name: way.name('echo'), arguments: { text } });
  const found = textOf(result);
  const wanted = way.place.kind === 'echo' ? text : JSON.stringify({ text });
  if (found === wanted) return;
  throw new Trouble(
    found.includes('soak-') ? 'CROSSED: the text of another call' : 'another result than that of echo',
  );
}

let lastText = 0;

/** A text that no other call has. */
function ownText(bytes = 0): string {
  return `soak-${++lastText}-`.padEnd(bytes, 'abcdefghij');
}

async function large(stage: Stage): Promise<void> {
  const bytes = stage.dice.whole(20_000, 300_000);
  if (stage.way.place.kind === 'echo') return echo(stage, ownText(bytes));
  // Fixtures keep what they sent to legacy sessions.
  const size = Math.ceil(bytes / 4);
  const text = textOf(await callTool(stage, 'big', { bytes: size }));
  hold(text.length === size, `big answered with another size`);
}

function list({ asker, tools }: Stage): Promise<void> {
  return listWhole((method, params) => asker.ask(method, params), tools);
}

/** Asks for every page of the list of tools, and looks whether these are in it. Rejects with a Trouble. */
export async function listWhole(ask: Asker['ask'], tools: readonly string[]): Promise<void> {
  const found = new Set<string>();
  let cursor: string | undefined;
  for (let page = 0; page < 20; page++) {
    const result = await ask('tools/list', cursor === undefined ? {} : { cursor });
    const entries = (Array.isArray(result.tools) ? result.tools : []) as { name: string }[]; // tools have names
    for (const { name } of entries) found.add(name);
    cursor = typeof result.nextCursor === 'string' ? result.nextCursor : undefined;
    if (cursor === undefined) break;
  }
  const missing = tools.filter((name) => !found.has(name));
  hold(missing.length === 0, `a list without ${missing.slice(0, 3).join(', ')}`);
}

async function read({ asker, way }: Stage): Promise<void> {
  const result = await asker.ask('resources/read', { uri: way.uri('test://static-text') });
  hold(JSON.stringify(result).includes('content of the static text resource'), 'another resource was read');
}

async function prompt({ asker, way, dice }: Stage): Promise<void> {
  const args = { arg1: `p${dice.whole(1, 1e9)}`, arg2: 'x' };
  const params = { name: way.name('test_prompt_with_arguments'), arguments: args };
  const result = await asker.ask('prompts/get', params);
  hold(JSON.stringify(result).includes(`arg1='${args.arg1}'`), 'CROSSED: another prompt');
}

async function progress(stage: Stage): Promise<void> {
  const steps: unknown[] = [];
  const visit = (message: Reply): undefined => {
    if (message.method === 'notifications/progress') steps.push(message.params?.progress);
  };
  const args = { ms: stage.dice.whole(60, 300), steps: 4 };
  const result = await callTool(stage, 'slow', args, { progress: true, visit });
  hold(textOf(result) === 'Took 4 steps.', 'slow answered something else');
  hold(steps.slice(0, 3).join() === '1,2,3', `the steps of progress were ${steps.join()}`);
}

/** A modern client is asked in the result and comes again; a legacy one in the middle of its call. */
async function ask(stage: Stage): Promise<void> {
  const args = { message: 'Who?' };
  let result = await callTool(stage, 'test_elicitation', args, { asked: true });
  if (stage.asker.legacy === null) {
    hold(result.resultType === 'input_required', 'a question did not come');
    const { inputRequests, requestState } = result;
    // A record: what the server wants to know, by its own names.
    const keys = Object.keys((inputRequests ?? {}) as Record<string, unknown>);
    const inputResponses = Object.fromEntries(keys.map((key) => [key, ANSWER]));
    const params = {
      ...{ name: stage.way.name('test_elicitation'), arguments: args, inputResponses },
      ...(requestState !== undefined && { requestState }),
    };
    result = await stage.asker.ask('tools/call', params, { asked: true });
  }
  hold(textOf(result).includes('"username":"ada"'), 'the answer to a question did not arrive');
}

/** A modern client that is asked and never comes again; a legacy one leaves in the middle. */
async function park(stage: Stage): Promise<void> {
  stage.ledger.left++;
  if (stage.asker.legacy !== null) return leave(stage);
  const result = await callTool(stage, 'test_elicitation', { message: 'Anybody?' }, { asked: true });
  hold(result.resultType === 'input_required', 'a question did not come');
}

async function leave(stage: Stage): Promise<void> {
  const abort = new AbortController();
  stage.ledger.left++;
  setTimeout(() => abort.abort(), stage.dice.whole(1, 200));
  // Whatever comes of it: it was left.
  await callTool(stage, 'slow', { ms: 400, steps: 2 }, { abort }).catch(() => undefined);
}

/** Wants to hear of a resource, changes it, and hears of it. */
async function listen(stage: Stage): Promise<void> {
  const { asker, way } = stage;
  const uri = way.uri(WATCHED);
  const isTold = ({ method, params }: Reply): boolean =>
    method === 'notifications/resources/updated' && params?.uri === uri;
  const change = (): Promise<unknown> => callTool(stage, 'touch', {});
  if (asker.legacy === null) {
    let changed: Promise<unknown> = Promise.resolve();
    const visit = (message: Reply): boolean => {
      if (message.method === 'notifications/subscriptions/acknowledged') {
        changed = change();
        // It is awaited below; the listening may end before.
        changed.catch(() => undefined);
      }
      return isTold(message);
    };
    const notifications = { resourceSubscriptions: [uri] };
    const ms = way.place.health === 'faulty' ? SICK_WORD_MS : CALL_MS_MAX;
    await modern(way.url, 'subscriptions/listen', { notifications }, { visit, ms });
    await changed;
    return;
  }
  const heard = Promise.withResolvers<void>();
  // The word of a server that has just been killed is lost.
  const ms = way.place.health === 'faulty' ? SICK_WORD_MS : CALL_MS_MAX;
  const timer = setTimeout(() => heard.reject(new Trouble('no word of a change')), ms);
  // It is awaited last: what comes before may fail first.
  heard.promise.catch(() => undefined);
  try {
    await asker.legacy.listen((message) => {
      if (isTold(message)) heard.resolve();
    });
    await asker.ask('resources/subscribe', { uri });
    await change();
    await heard.promise;
    await asker.ask('resources/unsubscribe', { uri });
  } finally {
    clearTimeout(timer);
    asker.legacy.hush();
  }
}

const SCENES: Readonly<Record<SceneName, (stage: Stage) => Promise<void>>> = {
  call: (stage) => echo(stage, ownText(stage.dice.whole(20, 400))),
  ...{ large, list, read, prompt, progress, ask, listen, leave, park },
};
