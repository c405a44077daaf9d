// What an endpoint shows of its servers: which tools, prompts and resources, under which names, with which descriptions.
// Called by merge.ts and proxy/. Promises: pure; decisions depend on a server's name and its own name for the thing alone, never on what else there is;
// what is asked often is remembered, within bounds.
import { joinName, joinUri } from './names.ts';
import type { NameRule } from './outward.ts';
import { Patterns } from './pattern.ts';

/** Members of a tool's or prompt's element that are replaced. */
export interface ElementOverride {
  readonly title?: string | undefined;
  readonly description?: string | undefined;
  /** Laid over the server's own, member by member. */
  readonly annotations?: Readonly<Record<string, unknown>> | undefined;
}

/** What is shown of one kind. Names and patterns mean the server's own name, or `server__name` (`server+uri`). */
export interface ChoiceSpec {
  /** null: all of them. */
  readonly allow: readonly string[] | null;
  /** Wins over `allow`. */
  readonly deny: readonly string[];
}

/** The same of what has names. */
export interface NamedSpec extends ChoiceSpec {
  readonly rename: Readonly<Record<string, string>>;
  readonly override: Readonly<Record<string, ElementOverride>>;
}

/** What an endpoint shows, as plain data. */
export interface ViewSpec {
  readonly names: 'prefixed' | 'own';
  readonly tools: NamedSpec;
  readonly prompts: NamedSpec;
  /** Templates included, by the text of the template. */
  readonly resources: ChoiceSpec;
}

/** Decisions kept of one kind; beyond that all are made anew. */
const DECISIONS_MAX = 20_000;

/** Which of one kind are shown. */
export class Choice {
  readonly #allow: Patterns | null;
  readonly #deny: Patterns;
  readonly #join: (server: string, own: string) => string;
  readonly #decided = new Map<string, boolean>();

  constructor(spec: ChoiceSpec, join: (server: string, own: string) => string) {
    this.#allow = spec.allow === null ? null : new Patterns(spec.allow, false);
    this.#deny = new Patterns(spec.deny, true);
    this.#join = join;
  }

  /** True when clients see it and may use it. */
  shows(server: string, own: string): boolean {
    const full = this.#join(server, own);
    const before = this.#decided.get(full);
    if (before !== undefined) return before;
    const isShown =
      (this.#allow === null || this.#allow.fit(own) || this.#allow.fit(full)) &&
      !this.#deny.fit(own) &&
      !this.#deny.fit(full);
    if (this.#decided.size >= DECISIONS_MAX) this.#decided.clear();
    this.#decided.set(full, isShown);
    return isShown;
  }
}

/** The same of what has names, and what becomes of them. */
export class NamedChoice extends Choice implements NameRule {
  readonly isOwn: boolean;
  /** True when names do not tell by themselves whose they are. */
  readonly needsCatalogue: boolean;
  readonly #rename: ReadonlyMap<string, string>;
  readonly #override: ReadonlyMap<string, ElementOverride>;

  constructor(spec: NamedSpec, isOwn: boolean, isSole: boolean) {
    super(spec, joinName);
    this.isOwn = isOwn;
    this.#rename = new Map(Object.entries(spec.rename));
    this.#override = new Map(Object.entries(spec.override));
    this.needsCatalogue = (isOwn && !isSole) || this.#rename.size > 0;
  }

  renameOf(server: string, own: string): string | null {
    return this.#rename.get(joinName(server, own)) ?? this.#rename.get(own) ?? null;
  }

  /** What replaces members of its element; null for nothing. */
  overrideOf(server: string, own: string): ElementOverride | null {
    return this.#override.get(joinName(server, own)) ?? this.#override.get(own) ?? null;
  }
}

/** What an endpoint shows, made ready. */
export class View {
  readonly tools: NamedChoice;
  readonly prompts: NamedChoice;
  readonly resources: Choice;
  /** One server under its own names: each of them is that server's. */
  readonly isSole: boolean;

  /** `isSole`: of one server alone. */
  constructor(spec: ViewSpec, isSole: boolean) {
    const isOwn = spec.names === 'own';
    this.isSole = isSole && isOwn;
    this.tools = new NamedChoice(spec.tools, isOwn, isSole);
    this.prompts = new NamedChoice(spec.prompts, isOwn, isSole);
    this.resources = new Choice(spec.resources, joinUri);
  }

  /** What is shown of a list's elements; null when all are (tasks). */
  of(items: string): Choice | null {
    if (items === 'tools') return this.tools;
    if (items === 'prompts') return this.prompts;
    return items === 'resources' || items === 'resourceTemplates' ? this.resources : null;
  }
}
