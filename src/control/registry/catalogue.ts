// What the file and the registry come to together: the configuration that is wanted, and the entries as people see them.
// Called by live-registry.ts. Promises: the file's entries win; what is kept and cannot be served is left out, with the reason; nothing is judged twice; looking
// costs nothing that grows with the secrets of thousands of servers but the first time.
import type { Wanted } from '../plan.ts';
import type { ServerConfig } from '../server-schema.ts';
import { fileEntry, withoutDefaults } from './defaults.ts';
import { type JudgeTools, judge, type Verdict } from './judge.ts';
import type { Mapping, ServerEntry } from './registry.ts';
import { shownSettings } from './secrets.ts';
import type { RegistryStore, StoredServer } from './store.ts';

/** One entry that is to be as said in a trial; `server` null: gone. */
export interface Trial {
  readonly name: string;
  readonly verdict: Extract<Verdict, { ok: true }> | null;
}

/** What was merged last: the next time almost all is as it was. */
interface Merged {
  readonly base: Wanted;
  readonly stored: readonly StoredServer[];
  readonly wanted: Wanted;
}

/** An entry that is another one, or new. */
interface EntryChange {
  readonly before: StoredServer | null;
  readonly after: StoredServer;
}

/** The servers of one gateway, whatever they are from. */
export class Catalogue {
  readonly #store: RegistryStore;
  readonly #tools: JudgeTools;
  #base: Wanted;
  /** By the settings as they are kept, which are another object after each change. */
  readonly #verdicts = new WeakMap<Mapping, Verdict>();
  readonly #shown = new WeakMap<object, Mapping>();
  #last: Merged | null = null;
  /** All entries, and what they were made of: pages of one list are asked for one after the other. */
  #entries: { readonly of: readonly unknown[]; readonly all: readonly ServerEntry[] } | null = null;
  /** A list of which every entry has its verdict. */
  #judged: readonly StoredServer[] = [];

  /** `base` is what the file says. */
  constructor(store: RegistryStore, tools: JudgeTools, base: Wanted) {
    this.#store = store;
    this.#tools = tools;
    this.#base = base;
  }

  get base(): Wanted {
    return this.#base;
  }

  /** The file says something else now. */
  rebase(base: Wanted): void {
    this.#base = base;
  }

  /** Judges what a change would have. */
  async judgeOne(name: string, settings: Mapping): Promise<Verdict> {
    const verdict = (await judge(new Map([[name, settings]]), this.#tools)).get(name);
    const known: Verdict = verdict ?? { ok: false, faults: [{ key: '', detail: 'it cannot be a server' }] };
    this.#verdicts.set(settings, known);
    return known;
  }

  /** Judges what was not judged yet; returns what cannot be served, by name. */
  async refresh(): Promise<ReadonlyMap<string, string>> {
    const known = this.#judged;
    const all = this.#store.list();
    const unjudged = all.filter((stored, at) => known[at] !== stored && !this.#verdicts.has(stored.settings));
    const troubles = new Map<string, string>();
    const wanted = new Map(unjudged.map(({ name, settings }) => [name, settings]));
    const verdicts = wanted.size === 0 ? null : await judge(wanted, this.#tools);
    for (const { name, settings } of unjudged) {
      const verdict = verdicts?.get(name);
      if (verdict === undefined) continue;
      this.#verdicts.set(settings, verdict);
      if (!verdict.ok) troubles.set(name, troubleText(verdict));
    }
    this.#judged = all;
    return troubles;
  }

  /** True while the file has a server of that name, or an endpoint, which would have the same path. */
  isTaken(name: string): boolean {
    return this.isOfFile(name) || Object.hasOwn(this.#base.config.endpoints, name);
  }

  isOfFile(name: string): boolean {
    return Object.hasOwn(this.#base.config.servers, name);
  }

  /** The file's configuration with the registry's servers behind its own; what is as it was the last time is taken over. */
  merged(): Wanted {
    const last = this.#last;
    const stored = this.#store.list();
    const changes = last?.base === this.#base ? changesOf(last.stored, stored) : null;
    const patched = last === null || changes === null ? null : this.#patched(last.wanted, changes);
    const wanted = patched ?? this.mergedWith(null);
    // What came while others were judged is judged the next time.
    this.#last = stored === this.#judged ? { base: this.#base, stored, wanted } : null;
    return wanted;
  }

  /** What was merged, with these entries changed; null where that is more than putting a server in its place. */
  #patched({ config, material }: Wanted, changes: readonly EntryChange[]): Wanted | null {
    if (changes.length === 0) return { config, material };
    const servers = { ...config.servers };
    for (const { before, after } of changes) {
      const { name, settings } = after;
      const verdict = this.#verdicts.get(settings);
      const was = before === null ? null : this.#verdicts.get(before.settings);
      const hasFiles = [verdict, was].some((one) => one?.ok === true && one.material.size > 0);
      const isInPlace = Object.hasOwn(servers, name) === (before !== null);
      if (verdict?.ok !== true || hasFiles || !isInPlace || this.isTaken(name)) return null;
      servers[name] = verdict.server;
    }
    return { config: { ...config, servers }, material };
  }

  /** The same merged from nothing, with the trial's change, if any. */
  mergedWith(trial: Trial | null): Wanted {
    const { config, material } = this.#base;
    const servers: Record<string, ServerConfig> = { ...config.servers };
    const texts = new Map(material);
    const add = (name: string, verdict: Verdict | undefined): void => {
      if (verdict?.ok !== true || this.isTaken(name)) return;
      servers[name] = verdict.server;
      for (const [path, text] of verdict.material) texts.set(path, text);
    };
    for (const { name, settings } of this.#store.list()) {
      if (name !== trial?.name) add(name, this.#verdicts.get(settings));
      else if (trial.verdict !== null) add(name, trial.verdict);
    }
    if (trial !== null && trial.verdict !== null && !Object.hasOwn(servers, trial.name))
      add(trial.name, trial.verdict);
    return { config: { ...config, servers }, material: texts };
  }

  /** Every entry: the file's, then the registry's. */
  entries(): readonly ServerEntry[] {
    const of = [this.#base, this.#store.list(), this.#judged] as const;
    if (this.#entries?.of.every((one, at) => one === of[at]) !== true) {
      const ofFile = Object.keys(this.#base.config.servers).flatMap((name) => this.#fileEntry(name) ?? []);
      this.#entries = { of, all: [...ofFile, ...of[1].map((stored) => this.entryOf(stored))] };
    }
    return this.#entries.all;
  }

  /** The entry that counts. */
  entry(name: string): ServerEntry | null {
    const stored = this.#store.get(name);
    return this.#fileEntry(name) ?? (stored === null ? null : this.entryOf(stored));
  }

  #fileEntry(name: string): ServerEntry | null {
    if (!this.isOfFile(name)) return null;
    const server = this.#base.config.servers[name];
    if (server === undefined) return null;
    return fileEntry(
      name,
      server,
      this.#showing(server, () => withoutDefaults(server)),
    );
  }

  /** One that is kept, as people see it. */
  entryOf({ name, version, settings, changedAtMs }: StoredServer): ServerEntry {
    const verdict = this.#verdicts.get(settings);
    return {
      name,
      origin: 'registry',
      version,
      isEnabled: settings.disabled !== true,
      isShadowed: this.isTaken(name),
      settings: this.#showing(settings, () => settings),
      problem: verdict === undefined || verdict.ok ? null : troubleText(verdict),
      changedAtMs,
    };
  }

  #showing(key: object, settings: () => Mapping): Mapping {
    const known = this.#shown.get(key);
    if (known !== undefined) return known;
    const fresh = shownSettings(settings());
    this.#shown.set(key, fresh);
    return fresh;
  }
}

/** What differs where a list has other entries of the same names, or more of them at its end; null: they differ in more than that. */
function changesOf(
  before: readonly StoredServer[],
  after: readonly StoredServer[],
): readonly EntryChange[] | null {
  if (after.length < before.length) return null;
  const changes: EntryChange[] = [];
  for (const [at, entry] of after.entries()) {
    const former = before[at] ?? null;
    if (former === entry) continue;
    if (former !== null && former.name !== entry.name) return null;
    changes.push({ before: former, after: entry });
  }
  return changes;
}

function troubleText({ faults }: Extract<Verdict, { ok: false }>): string {
  return faults.map(({ key, detail }) => (key === '' ? detail : `${key}: ${detail}`)).join('; ');
}
