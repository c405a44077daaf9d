// What is known of a legacy server's tools from the lists that passed by: which arguments headers mirror, and which tools may be called twice.
// Called by call.ts and pool.ts. Promises: bounded; what was never listed is told apart from what wants nothing.
import { encode } from '../../base/bytes.ts';
import { GatewayError } from '../../base/errors.ts';
import { CursorCircle } from '../../mcp/cursor-circle.ts';
import { type Message, objectAt, span } from '../../mcp/envelope.ts';
import { eachElement, isArray, isObject, member, stringMember } from '../../mcp/json.ts';
import { checkParams, type HeaderParams, headerParamsOf } from '../../mcp/mirrored-params.ts';
import { METHOD } from '../../mcp/protocol.ts';
import { ruleFor } from '../../policy/tool-book.ts';
import { ENVELOPE } from '../../scan/contract.ts';
import type { PolicySpec } from '../../upstream/spec.ts';
import type { UpstreamRequest } from '../../upstream/upstream.ts';
import type { HeldSession } from './sessions.ts';

interface Fact {
  /** Null when no header mirrors an argument. */
  readonly mirrored: HeaderParams | null;
  readonly isRepeatable: boolean;
}

/** Tools remembered of one server and kind of client. */
const TOOLS_MAX = 10_000;
const UNLISTED_MAX = 1_000;
const PAGES_MAX = 100;
const MIRROR = encode('x-mcp-header');
const PARAM_PREFIX = 'mcp-param-';

/** Tools of one server as one kind of client sees them. */
export class ToolFacts {
  readonly #facts = new Map<string, Fact>();
  readonly #unlisted = new Set<string>();
  readonly #policy: PolicySpec | null;
  #hasMirrors = false;
  #fetching: Promise<void> | null = null;

  /** `policy`: what is configured of repeats; left out: nothing. */
  constructor(policy?: PolicySpec) {
    this.#policy = policy ?? null;
  }

  /** True when repeats are bounded by configuration, which is for policy/ to see to as long as the client has heard nothing. */
  get isBounded(): boolean {
    return this.#policy !== null;
  }

  /** True for what the configuration says is sent once. */
  isSentOnce(name: string): boolean {
    const policy = this.#policy;
    return policy !== null && (ruleFor(policy.tools, name)?.retries ?? policy.retries.max) === 0;
  }

  /** Learns from a tools/list result. */
  learn({ bytes, envelope }: Message): void {
    const result = span(envelope, ENVELOPE.result);
    const tools =
      result !== null && isObject(bytes, result.start) ? member(bytes, result.start, 'tools') : null;
    if (tools === null || !isArray(bytes, tools.start)) return;
    eachElement(bytes, tools.start, (start, end) => {
      const name = isObject(bytes, start) ? stringMember(bytes, start, 'name') : null;
      if (name === null || (this.#facts.size >= TOOLS_MAX && !this.#facts.has(name))) return;
      this.#facts.set(name, this.#factOf(bytes.subarray(start, end)));
    });
  }

  #factOf(tool: Uint8Array): Fact {
    const wanted = contains(tool, MIRROR) ? headerParamsOf(tool) : null;
    const mirrored = wanted === null || wanted.params.length === 0 ? null : wanted;
    if (mirrored !== null) this.#hasMirrors = true;
    const notes = member(tool, 0, 'annotations');
    const isTrue = (key: string): boolean => {
      const at = notes !== null && isObject(tool, notes.start) ? member(tool, notes.start, key) : null;
      return at !== null && tool[at.start] === 0x74;
    };
    return { mirrored, isRepeatable: isTrue('readOnlyHint') || isTrue('idempotentHint') };
  }

  /** The server's tools have changed. */
  forget(): void {
    this.#facts.clear();
    this.#unlisted.clear();
  }

  /** True when the tool may be called twice: the configuration says so, or says nothing and the server does. */
  isRepeatable(name: string): boolean {
    const declared = ruleFor(this.#policy?.tools ?? [], name)?.idempotent;
    if (declared !== undefined) return declared;
    return this.#facts.get(name)?.isRepeatable === true;
  }

  /** False for a tools/call of whose headers nothing can be wrong as far as is known: most servers mirror nothing. */
  matter({ headers, isUnmirrored }: UpstreamRequest): boolean {
    if (isUnmirrored === true) return false;
    return this.#hasMirrors || headers.some((one, i) => i % 2 === 0 && one.startsWith(PARAM_PREFIX));
  }

  /** What is wrong with the headers of a tools/call, null when nothing is; at once, or after a look at the server's list. */
  check(
    name: string,
    { body, envelope, headers }: UpstreamRequest,
    session: HeldSession,
  ): GatewayError | null | Promise<GatewayError | null> {
    if (envelope === null) return null;
    const judged = (): GatewayError | null => {
      const mirrored = this.#facts.get(name)?.mirrored ?? null;
      return mirrored === null
        ? null
        : checkParams(mirrored, body, span(envelope, ENVELOPE.arguments), headers);
    };
    if (this.#facts.has(name) || this.#unlisted.has(name)) return judged();
    return this.#fetch(session).then(() => {
      if (!this.#facts.has(name)) this.#miss(name);
      return judged();
    });
  }

  /** A tool that is not on the list is remembered as wanting nothing; clients may name as many as they like. */
  #miss(name: string): void {
    if (this.#unlisted.size >= UNLISTED_MAX) this.#unlisted.clear();
    this.#unlisted.add(name);
  }

  /** Reads the server's list; one reading serves all who wait. */
  #fetch(session: HeldSession): Promise<void> {
    this.#fetching ??= this.#read(session).finally(() => {
      this.#fetching = null;
    });
    return this.#fetching;
  }

  async #read(session: HeldSession): Promise<void> {
    let cursor: string | null = null;
    const circle = new CursorCircle();
    for (let page = 0; page < PAGES_MAX; page++) {
      const params: Record<string, unknown> = cursor === null ? {} : { cursor };
      const message: Message | GatewayError = await session.ask(METHOD.toolsList, params);
      if (message instanceof GatewayError) return;
      this.learn(message);
      const { nextCursor } = objectAt(message.bytes, message.envelope, ENVELOPE.result);
      if (typeof nextCursor !== 'string' || circle.closes(nextCursor)) return;
      cursor = nextCursor;
    }
  }
}

function contains(bytes: Uint8Array, wanted: Uint8Array): boolean {
  const first = wanted[0] ?? 0;
  for (let at = bytes.indexOf(first); at >= 0; at = bytes.indexOf(first, at + 1)) {
    let i = 1;
    while (i < wanted.length && bytes[at + i] === wanted[i]) i++;
    if (i === wanted.length) return true;
  }
  return false;
}
