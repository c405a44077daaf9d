// `sluice call SERVER TOOL [JSON]`: one tool call through a running gateway.
// Called by program.ts. Promises: arguments are checked to be a JSON object before anything is sent; a tool that answers
// with an error makes exit code 1.
import type { CallToolResult, Client } from '@modelcontextprotocol/client';
import { resolvePath } from '../control/place.ts';
import { nearest } from '../control/suggest.ts';
import { fieldOf, REQUEST, withGateway } from './client.ts';
import { allTools } from './list.ts';
import { printable } from './paint.ts';
import { EXIT, type World } from './world.ts';

/** What to call, as the command line gives it. */
export interface CallTarget {
  readonly server: string;
  readonly tool: string;
  /** A JSON object, `@FILE`, or `-` for stdin. */
  readonly json: string;
}

/** Options as the command line gives them. */
export interface CallOptions {
  readonly url: string;
  readonly json?: boolean;
}

/** Runs the command; resolves to the exit code. */
export async function call(world: World, target: CallTarget, options: CallOptions): Promise<number> {
  const given = await readArguments(world, target.json);
  if (typeof given === 'string') {
    world.err(`sluice: cannot use the arguments: ${given}\n`);
    return EXIT.usage;
  }
  return withGateway(world, { url: options.url, server: target.server }, async (client) => {
    const result = await callTool(world, client, target, given);
    if (result === null) return EXIT.failed;
    world.out(options.json === true ? `${JSON.stringify(result, null, 2)}\n` : resultText(result));
    return result.isError === true ? EXIT.failed : EXIT.ok;
  });
}

/** The result, or null after it was said that there is no such tool. */
async function callTool(
  world: World,
  client: Client,
  target: CallTarget,
  given: Record<string, unknown>,
): Promise<CallToolResult | null> {
  try {
    return await client.callTool({ name: target.tool, arguments: given }, REQUEST);
  } catch (thrown) {
    const names =
      fieldOf(thrown, 'code') === INVALID_PARAMS ? (await allTools(client)).map((tool) => tool.name) : [];
    if (names.length === 0 || names.includes(target.tool)) throw thrown;
    const near = nearest(target.tool, names);
    const advice = near === null ? '' : `did you mean '${near}'? `;
    world.err(
      `sluice: '${target.server}' has no tool '${target.tool}': ${advice}it has ${names.map(printable).join(', ')}\n`,
    );
    return null;
  }
}

const INVALID_PARAMS = -32602;

/** The arguments as an object, or why they are none. */
export async function readArguments(world: World, json: string): Promise<Record<string, unknown> | string> {
  let text = json;
  if (json === '-') text = await readStdin(world);
  else if (json.startsWith('@')) {
    try {
      text = await world.runtime.files.readText(resolvePath(world.cwd, json.slice(1)));
    } catch {
      return `cannot read the file '${json.slice(1)}'`;
    }
  }
  try {
    const value: unknown = JSON.parse(text);
    if (value === null || typeof value !== 'object' || Array.isArray(value))
      return 'found JSON, but no object such as {"text":"hello"}';
    return { ...value };
  } catch {
    return `found text that is not JSON; allowed: an object such as '{"text":"hello"}', @FILE, or - for stdin`;
  }
}

function readStdin(world: World): Promise<string> {
  if (world.isStdinTerminal()) world.err('Type the arguments as JSON, then Ctrl-D\n');
  const decoder = new TextDecoder();
  let text = '';
  return new Promise((resolve) => {
    world.runtime.standard.readStdin(
      (bytes) => {
        text += decoder.decode(bytes, { stream: true });
      },
      () => resolve(text + decoder.decode()),
    );
  });
}

/** What a tool answered, for people: texts as they are, everything else by its kind and size. */
export function resultText(result: CallToolResult): string {
  const blocks = result.content.map((block) => {
    switch (block.type) {
      case 'text':
        return printable(block.text);
      case 'image':
      case 'audio':
        return `[${block.type}: ${printable(block.mimeType)}, ${Math.floor((block.data.length * 3) / 4)} bytes; --json shows it]`;
      case 'resource':
        return 'text' in block.resource
          ? printable(block.resource.text)
          : `[resource: ${printable(block.resource.uri)}; --json shows it]`;
      case 'resource_link':
        return `[link: ${printable(block.uri)}]`;
      default:
        return '[content of an unknown kind; --json shows it]';
    }
  });
  if (blocks.length === 0 && result.structuredContent !== undefined)
    blocks.push(JSON.stringify(result.structuredContent, null, 2));
  return blocks.length === 0 ? '(an empty answer)\n' : `${blocks.join('\n')}\n`;
}
