// Which tools' results may be kept: those that the configuration names, as long as their server's lists say that calling them changes nothing.
// Called by cache.ts. Promises: a tool that was not listed with both hints, to this client or to everyone, is not cached; bounded by the names that the configuration has.
import { LIMITS } from '../base/limits.ts';
import { type Message, span } from '../mcp/envelope.ts';
import { eachElement, isArray, isObject, member, stringMember } from '../mcp/json.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { CacheSettings } from '../upstream/spec.ts';

/** Partitions whose lists are remembered: as many as other facts are kept for. */
const PARTITIONS_MAX = LIMITS.eraRecordsMax;
/** Key of what everyone was listed; no partition is spelled so. */
const EVERYONE = '';
const TRUE = 0x74;

/** The tools of one server. */
export class CachedTools {
  readonly #ttlsMs: ReadonlyMap<string, number>;
  /** By partition: of the configured tools that were listed to it, whether they may be cached. */
  readonly #listed = new Map<string, Map<string, boolean>>();

  constructor(tools: CacheSettings['tools']) {
    this.#ttlsMs = new Map(tools.map(({ name, ttlMs }) => [name, ttlMs]));
  }

  /** True when no tool's results are kept at all. */
  get isEmpty(): boolean {
    return this.#ttlsMs.size === 0;
  }

  /** For how long a result of this tool holds, for a partition; 0: it is not kept. */
  ttlMs(name: string, partition: string): number {
    const ttlMs = this.#ttlsMs.get(name);
    if (ttlMs === undefined) return 0;
    const own = this.#listed.get(partition)?.get(name);
    return (own ?? this.#listed.get(EVERYONE)?.get(name)) === true ? ttlMs : 0;
  }

  /** Learns from a result of tools/list; `partition` null: it is everyone's. */
  learn({ bytes, envelope }: Message, partition: string | null): void {
    const result = span(envelope, ENVELOPE.result);
    if (this.isEmpty || result === null || !isObject(bytes, result.start)) return;
    const tools = member(bytes, result.start, 'tools');
    if (tools === null || !isArray(bytes, tools.start)) return;
    const facts = this.#factsOf(partition ?? EVERYONE);
    eachElement(bytes, tools.start, (start) => {
      const name = isObject(bytes, start) ? stringMember(bytes, start, 'name') : null;
      if (name !== null && this.#ttlsMs.has(name)) facts.set(name, changesNothing(bytes, start));
    });
  }

  /** The server's tools have changed. */
  forget(): void {
    this.#listed.clear();
  }

  #factsOf(partition: string): Map<string, boolean> {
    const known = this.#listed.get(partition);
    if (known !== undefined) return known;
    if (this.#listed.size >= PARTITIONS_MAX) {
      const [oldest] = this.#listed.keys();
      if (oldest !== undefined) this.#listed.delete(oldest);
    }
    const facts = new Map<string, boolean>();
    this.#listed.set(partition, facts);
    return facts;
  }
}

/** True for a tool whose annotations say both that it only reads and that calling it again is as calling it once. */
function changesNothing(bytes: Uint8Array, tool: number): boolean {
  const notes = member(bytes, tool, 'annotations');
  const says = (hint: string): boolean => {
    const at = notes !== null && isObject(bytes, notes.start) ? member(bytes, notes.start, hint) : null;
    return at !== null && bytes[at.start] === TRUE;
  };
  return says('readOnlyHint') && says('idempotentHint');
}
