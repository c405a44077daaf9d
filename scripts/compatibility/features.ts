// The features of the matrix: what each client has to see happen through the gateway.
// Called by matrix.ts. Promises: a feature that does not work throws, saying what was missing; waits are bounded.
import { readJournal } from '../../test/fixtures/journal.ts';
import { eventually } from '../../test/fixtures/places.ts';
import { type Driver, ROOT_URI } from './driver.ts';

/** What a check has at hand. */
export interface Scene {
  readonly driver: Driver;
  /** The fixture's journal. */
  readonly journal: string;
  /** Whether the roots are the driver's: some clients have none. */
  readonly hasRoots: boolean;
}

/** One row of each table. */
export interface Feature {
  readonly name: string;
  readonly title: string;
  check(scene: Scene): Promise<void>;
}

const WATCHED = 'test://watched-resource';
/** Entries of a page of the fixture's prompts. */
export const PAGE = 3;
const PROMPTS = 5;

function hold(isTrue: boolean, claim: string): void {
  if (!isTrue) throw new Error(claim);
}

async function answers(
  driver: Driver,
  tool: string,
  args: Record<string, string>,
  part: string,
): Promise<void> {
  const { text } = await driver.call(tool, args);
  hold(text.includes(part), `${tool} answered "${text}"`);
}

async function progress({ driver }: Scene): Promise<void> {
  const steps: number[] = [];
  await driver.call('slow', { ms: 300, steps: 3 }, { onProgress: (step) => void steps.push(step) });
  // the last step may come in one chunk with the result: the clients of both SDKs may have forgotten the token by then
  hold(steps.slice(0, 2).join() === '1,2', `the steps seen are ${JSON.stringify(steps)}`);
}

async function subscriptions({ driver }: Scene): Promise<void> {
  await driver.watch([WATCHED]);
  await driver.call('touch', {});
  await eventually('the change of the resource is told', () => driver.heard.includes(WATCHED));
}

async function listChanged({ driver }: Scene): Promise<void> {
  await driver.watch([]);
  const from = driver.heard.length;
  await driver.call('test_trigger_tool_change');
  await driver.call('test_trigger_prompt_change');
  const heard = (what: string): boolean => driver.heard.slice(from).includes(what);
  await eventually('both lists are told', () => heard('tools') && heard('prompts'));
  await driver.call('test_trigger_tool_change');
  await driver.call('test_trigger_prompt_change');
}

async function logging({ driver }: Scene): Promise<void> {
  await driver.wantLogs();
  const from = driver.heard.length;
  await driver.call('test_tool_with_logging');
  const logs = (): string[] => driver.heard.slice(from).filter((one) => one.startsWith('log '));
  await eventually('three messages came', () => logs().length >= 3);
  hold(logs()[0] === 'log Tool execution started', `the first message is "${logs()[0]}"`);
}

async function cancellation({ driver, journal }: Scene): Promise<void> {
  const key = crypto.randomUUID();
  const abort = new AbortController();
  const call = driver.call(
    'slow',
    { ms: 6_000, steps: 100, key },
    { signal: abort.signal, onProgress: () => abort.abort() },
  );
  const isRefused = await call.then(
    () => false,
    () => true,
  );
  hold(isRefused && abort.signal.aborted, 'the call ended by itself');
  await eventually('the server sees the cancellation', () =>
    readJournal(journal).cancelled.has(`slow ${key}`),
  );
}

async function structured({ driver }: Scene): Promise<void> {
  const names = await driver.toolNames();
  const one = (await driver.call('measure')).structuredContent;
  const wanted = JSON.stringify({ celsius: 21.5, place: 'Kraków' });
  hold(JSON.stringify(one) === wanted, `measure answered ${JSON.stringify(one)}`);
  if (!names.includes('measure_all')) return;
  const all = JSON.stringify((await driver.call('measure_all')).structuredContent);
  // clients before 2026-07-28 take objects only, so a list is put into one
  hold(all === '[21.5,-3]' || all === '{"result":[21.5,-3]}', `measure_all answered ${all}`);
}

async function pagination({ driver }: Scene): Promise<void> {
  const names: string[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < PROMPTS; pages++) {
    const page = await driver.promptPage(cursor);
    names.push(...page.names);
    cursor = page.nextCursor;
    if (cursor === undefined) break;
  }
  const own = new Set(names.filter((name) => name !== 'test_extra_prompt'));
  hold(own.size === PROMPTS, `the pages held ${names.join(', ')}`);
}

/** All features, in the order of the rows. */
export const FEATURES: readonly Feature[] = [
  { name: 'progress', title: 'tools with progress', check: progress },
  {
    name: 'elicitation',
    title: 'elicitation',
    check: ({ driver }) => answers(driver, 'test_elicitation', { message: 'Who?' }, '"username":"ada"'),
  },
  {
    name: 'sampling',
    title: 'sampling',
    check: ({ driver }) => answers(driver, 'test_sampling', { prompt: 'Which city?' }, 'Paris'),
  },
  {
    name: 'roots',
    title: 'roots',
    check: ({ driver, hasRoots }) =>
      answers(
        driver,
        'test_input_required_result_list_roots',
        {},
        hasRoots ? `Roots: ${ROOT_URI}` : 'Roots: ',
      ),
  },
  { name: 'subscriptions', title: 'subscriptions to resources', check: subscriptions },
  { name: 'list_changed', title: 'list_changed', check: listChanged },
  { name: 'logging', title: 'logging', check: logging },
  { name: 'cancellation', title: 'cancellation', check: cancellation },
  { name: 'structured', title: 'structured output', check: structured },
  { name: 'pagination', title: 'pagination', check: pagination },
];
