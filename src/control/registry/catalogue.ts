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

/** The servers of one gateway, whatever they are from. */
export class Catalogue {
  readonly #store: RegistryStore;
  readonly #tools: JudgeTools;
  #base: Wanted;
  /** By the settings as they are kept, which are another object after each change. */
  readonly #verdicts = new WeakMap<Mapping, Verdict>();
  readonly #shown = new WeakMap<object, Mapping>();

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
    const unjudged = this.#store.list().filter(({ settings }) => !this.#verdicts.has(settings));
    const troubles = new Map<string, string>();
    if (unjudged.length === 0) return troubles;
    const verdicts = await judge(
      new Map(unjudged.map(({ name, settings }) => [name, settings])),
      this.#tools,
    );
    for (const { name, settings } of unjudged) {
      const verdict = verdicts.get(name);
      if (verdict === undefined) continue;
      this.#verdicts.set(settings, verdict);
      if (!verdict.ok) troubles.set(name, troubleText(verdict));
    }
    return troubles;
  }

  /** True while the file has a server of that name, or an endpoint, which would have the same path. */
  isTaken(name: string): boolean {
    return this.isOfFile(name) || Object.hasOwn(this.#base.config.endpoints, name);
  }

  isOfFile(name: string): boolean {
    return Object.hasOwn(this.#base.config.servers, name);
  }

  /** The file's configuration with the registry's servers behind its own, and with the trial's change, if any. */
  merged(trial: Trial | null = null): Wanted {
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
    const ofFile = Object.keys(this.#base.config.servers).flatMap((name) => this.#fileEntry(name) ?? []);
    return [...ofFile, ...this.#store.list().map((stored) => this.entryOf(stored))];
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

function troubleText({ faults }: Extract<Verdict, { ok: false }>): string {
  return faults.map(({ key, detail }) => (key === '' ? detail : `${key}: ${detail}`)).join('; ');
}
