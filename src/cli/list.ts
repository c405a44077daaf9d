// `sluice list`: the tools of a running gateway.
// Called by program.ts. Promises: one tool a line for people, the tools as the gateway lists them with --json.
import type { Client } from '@modelcontextprotocol/client';
import { RENAMED_META } from '../mcp/merge-lists.ts';
import { fieldOf, REQUEST, withGateway } from './client.ts';
import { columns, createPaint, printable } from './paint.ts';
import { EXIT, type World } from './world.ts';

/** Options as the command line gives them. */
export interface ListOptions {
  readonly url: string;
  readonly server?: string;
  readonly endpoint?: string;
  readonly json?: boolean;
}

/** A tool as it is shown. */
export interface ListedTool {
  readonly name: string;
  readonly title?: string | undefined;
  readonly description?: string | undefined;
}

/** Pages followed of one list: far more than any gateway has, so that a wrong cursor cannot keep us for ever. */
const PAGES_MAX = 1000;

/** Runs the command; resolves to the exit code. */
export async function list(world: World, options: ListOptions): Promise<number> {
  const { url, server, endpoint } = options;
  return withGateway(world, { url, server: server ?? endpoint }, async (client) => {
    const renamed = new Map<string, string>();
    const tools = await allTools(client, renamed);
    if (options.json === true) world.out(`${JSON.stringify(tools, null, 2)}\n`);
    else world.out(toolTable(tools, server, world.isColourWanted()) + renamedLines(renamed));
    return EXIT.ok;
  });
}

/** Every page of tools/list; `renamed` gets the names that are not as the rule has it, and what they stand for. */
export async function allTools(client: Client, renamed?: Map<string, string>): Promise<ListedTool[]> {
  const tools: ListedTool[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_MAX; page++) {
    const result = await client.listTools(cursor === undefined ? {} : { cursor }, REQUEST);
    tools.push(...result.tools);
    for (const [name, own] of Object.entries(fieldOf(result._meta, RENAMED_META) ?? {}))
      renamed?.set(name, String(own));
    cursor = result.nextCursor;
    if (cursor === undefined) break;
  }
  return tools;
}

/** Which names were taken by an earlier server or too long; nothing when none was. */
export function renamedLines(renamed: ReadonlyMap<string, string>): string {
  if (renamed.size === 0) return '';
  const rows = [...renamed].map(([name, full]) => {
    const [owner, own] = splitName(full, undefined);
    return [`  ${printable(name)}`, `is ${printable(own)} of ${printable(owner)}`];
  });
  return `\nNames that were taken or too long:\n${columns(rows)}`;
}

/** Lines for people: server, tool, what it does. Names without a server (one server, no prefix) stand alone. */
export function toolTable(tools: readonly ListedTool[], server: string | undefined, colour: boolean): string {
  if (tools.length === 0) return 'no tools\n';
  const paint = createPaint(colour);
  const split = tools.map((tool) => splitName(tool.name, server));
  const named = split.every(([owner]) => owner !== '');
  const rows = tools.map((tool, index) => {
    const [owner = '', own = ''] = split[index] ?? [];
    const what = printable(firstLine(tool.description ?? tool.title ?? ''));
    const name = named
      ? [paint.dim(printable(owner)), paint.accent(printable(own))]
      : [paint.accent(printable(tool.name))];
    return [...name, what];
  });
  const head = (named ? ['SERVER', 'TOOL', 'WHAT IT DOES'] : ['TOOL', 'WHAT IT DOES']).map((word, index) =>
    index === (named ? 2 : 1) ? word : index === 0 && named ? paint.dim(word) : paint.accent(word),
  );
  return columns([head, ...rows]);
}

function splitName(name: string, server: string | undefined): readonly [string, string] {
  if (server !== undefined) return [server, name];
  const at = name.indexOf('__');
  return at <= 0 ? ['', name] : [name.slice(0, at), name.slice(at + 2)];
}

function firstLine(text: string): string {
  const line = text.split('\n', 1)[0] ?? '';
  return line.length > 100 ? `${line.slice(0, 99)}…` : line;
}
