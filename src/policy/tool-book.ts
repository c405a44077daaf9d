// What is known of a server's tools: what the configuration says, and what the server's own lists say of those that it says nothing about.
// Called by the policies. Promises: what an endpoint says of a tool counts before what its server's configuration says, and that before the server itself; a tool that
// nobody spoke of may not be called twice.
import { fits, isPlain } from '../mcp/glob.ts';
import { joinName } from '../mcp/names.ts';
import type { ServerSpec, ToolRule } from '../upstream/spec.ts';
import type { UpstreamRequest } from '../upstream/upstream.ts';
import { isContinued, isRead, isToolsCall, makesTask, methodOf, toolOf } from './asked.ts';
import type { ToolNotes } from './tool-notes.ts';

/** Names whose rule is remembered; clients may ask for any. */
const ANSWERED_MAX = 1_000;

/** The rule of a tool: the one that bears its name, else the first whose pattern fits; null when there is none. */
export function ruleFor(rules: readonly ToolRule[], name: string): ToolRule | null {
  const own = rules.find(({ pattern }) => pattern === name && isPlain(pattern));
  return own ?? rules.find(({ pattern }) => fits(pattern, name)) ?? null;
}

/** The tools of one server in one worker, as the clients of one endpoint or of all others may use them. */
export class ToolBook {
  /** What the server's lists say. */
  readonly notes: ToolNotes;
  readonly #server: string;
  readonly #rules: readonly ToolRule[];
  readonly #endpointRules: readonly ToolRule[];
  /** Names that were looked for. */
  readonly #answered = new Map<string, ToolRule | null>();

  /** `endpointRules` are laid over the server's own; their patterns mean its names or `server__name`. */
  constructor(
    { name = '', policy }: Pick<ServerSpec, 'policy'> & { readonly name?: string },
    notes: ToolNotes,
    endpointRules: readonly ToolRule[] = [],
  ) {
    this.notes = notes;
    this.#server = name;
    this.#rules = policy?.tools ?? [];
    this.#endpointRules = endpointRules;
  }

  /** The rule of a tool; null when there is none. */
  rule(name: string): ToolRule | null {
    if (this.#rules.length + this.#endpointRules.length === 0) return null;
    const answered = this.#answered.get(name);
    if (answered !== undefined) return answered;
    const rule = this.#find(name);
    if (this.#answered.size >= ANSWERED_MAX) this.#answered.clear();
    this.#answered.set(name, rule);
    return rule;
  }

  #find(name: string): ToolRule | null {
    const base = ruleFor(this.#rules, name);
    if (this.#endpointRules.length === 0) return base;
    const full = joinName(this.#server, name);
    const over = ruleFor(this.#endpointRules, full) ?? ruleFor(this.#endpointRules, name);
    return base === null || over === null ? (over ?? base) : { ...base, ...over };
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
    return this.rule(name)?.idempotent ?? this.notes.saysRepeatable(request, name);
  }
}
