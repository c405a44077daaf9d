// What is known of a server's tools: what the configuration says, and what the server's own lists say of those that it says nothing about.
// Called by the policies. Promises: what one client was listed says nothing to a client with other credentials; bounded; a tool that nobody spoke of may not be
// called twice.
import { LIMITS } from '../base/limits.ts';
import { credentialsOf } from '../mcp/credentials.ts';
import { type Message, span } from '../mcp/envelope.ts';
import { fits, isPlain } from '../mcp/glob.ts';
import { eachElement, isArray, isObject, member, type Span, stringMember } from '../mcp/json.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { ServerSpec, ToolRule } from '../upstream/spec.ts';
import type { UpstreamRequest } from '../upstream/upstream.ts';
import { isContinued, isRead, isToolsCall, makesTask, methodOf, toolOf } from './asked.ts';

/** Names whose rule is remembered; clients may ask for any. */
const ANSWERED_MAX = 1_000;
/** Sets of credentials whose lists are remembered. */
const READERS_MAX = 1_024;
const TRUE = 0x74;

/** The rule of a tool: the one that bears its name, else the first whose pattern fits; null when there is none. */
export function ruleFor(rules: readonly ToolRule[], name: string): ToolRule | null {
  const own = rules.find(({ pattern }) => pattern === name && isPlain(pattern));
  return own ?? rules.find(({ pattern }) => fits(pattern, name)) ?? null;
}

/** The tools of one server in one worker. */
export class ToolBook {
  readonly #rules: readonly ToolRule[];
  /** Names that were looked for. */
  readonly #answered = new Map<string, ToolRule | null>();
  /** By credentials: what the server says of its tools to whoever has them, the longest known first. */
  readonly #notes = new Map<string, Map<string, boolean>>();
  readonly #isTold: boolean;
  readonly #notesMax: number;
  #noted = 0;

  constructor(
    { policy, forwardHeaders }: Pick<ServerSpec, 'policy' | 'forwardHeaders'>,
    notesMax: number = LIMITS.toolNotesMax,
  ) {
    this.#rules = policy?.tools ?? [];
    this.#isTold = forwardHeaders.length > 0;
    this.#notesMax = notesMax;
  }

  /** The rule of a tool; null when there is none. */
  rule(name: string): ToolRule | null {
    if (this.#rules.length === 0) return null;
    const answered = this.#answered.get(name);
    if (answered !== undefined) return answered;
    const rule = ruleFor(this.#rules, name);
    if (this.#answered.size >= ANSWERED_MAX) this.#answered.clear();
    this.#answered.set(name, rule);
    return rule;
  }

  /** The rule of the tool that a request calls; null for any other request. */
  ruleOf(request: UpstreamRequest): ToolRule | null {
    return isToolsCall(request) ? this.rule(toolOf(request)) : null;
  }

  /** True for a request that may be executed twice: it reads, or it calls a tool that may be called twice. */
  isRepeatable(request: UpstreamRequest): boolean {
    if (isContinued(request)) return false;
    if (isToolsCall(request)) return this.mayCallTwice(request, toolOf(request)) && !makesTask(request);
    return isRead(methodOf(request));
  }

  /** True when a tool may be called twice: the configuration says so, or says nothing and the server does. */
  mayCallTwice(request: UpstreamRequest, name: string): boolean {
    const declared = this.rule(name)?.idempotent;
    if (declared !== undefined) return declared;
    return this.#noted > 0 && this.#notes.get(this.#readerOf(request))?.get(name) === true;
  }

  /** Learns from the result of a tools/list; a later list corrects an earlier one, tool by tool. */
  learn(request: UpstreamRequest, { bytes, envelope }: Message): void {
    const result = span(envelope, ENVELOPE.result);
    if (result === null || !isObject(bytes, result.start)) return;
    const tools = member(bytes, result.start, 'tools');
    if (tools === null || !isArray(bytes, tools.start)) return;
    const notes = this.#notesFor(this.#readerOf(request));
    eachElement(bytes, tools.start, (start) => {
      const name = isObject(bytes, start) ? stringMember(bytes, start, 'name') : null;
      if (name !== null) this.#note(notes, name, saysRepeatable(bytes, start));
    });
  }

  #note(notes: Map<string, boolean>, name: string, isRepeatable: boolean): void {
    const had = notes.get(name);
    // What may not be called twice is as good as unknown: it takes no room.
    if (had === undefined && !isRepeatable) return;
    if (had === undefined) {
      if (this.#noted >= this.#notesMax && !this.#makeRoom(notes)) return;
      this.#noted++;
    }
    notes.set(name, isRepeatable);
  }

  /** Forgets the clients that were noted first; false when there are no others than those who need the room. */
  #makeRoom(except: Map<string, boolean>): boolean {
    for (const [reader, notes] of this.#notes) {
      if (notes === except) continue;
      this.#forget(reader, notes);
      if (this.#noted < this.#notesMax) return true;
    }
    return false;
  }

  #forget(reader: string, notes: Map<string, boolean>): void {
    this.#notes.delete(reader);
    this.#noted -= notes.size;
  }

  #notesFor(reader: string): Map<string, boolean> {
    const known = this.#notes.get(reader) ?? new Map<string, boolean>();
    // Behind all others, which are forgotten before it.
    this.#notes.delete(reader);
    this.#notes.set(reader, known);
    const [first] = this.#notes;
    if (this.#notes.size > READERS_MAX && first !== undefined) this.#forget(...first);
    return known;
  }

  /** Who reads a list: a server that gets no credentials shows all of one principal the same. */
  #readerOf({ client, headers }: UpstreamRequest): string {
    const { principal } = client;
    if (!this.#isTold) return principal;
    return [principal.length, principal, ...credentialsOf(headers)].join('\n');
  }
}

/** What a tool's annotations say: one that only reads, or whose second call adds nothing, may be called twice. */
function saysRepeatable(bytes: Uint8Array, at: number): boolean {
  const notes: Span | null = member(bytes, at, 'annotations');
  if (notes === null || !isObject(bytes, notes.start)) return false;
  const says = (hint: string): boolean => {
    const value = member(bytes, notes.start, hint);
    return value !== null && bytes[value.start] === TRUE;
  };
  return says('readOnlyHint') || says('idempotentHint');
}
