// The servers of a running gateway: the file's, and beside them the registry's, as one configuration that changes while it runs.
// Called by cli/ (opens it, merges, reloads) and the admin API (by its contract, registry.ts). Promises: registry.ts; a change is judged, and compiled, before it is
// written; answers do not wait for the reload that they lead to.
import { GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Log } from '../../observe/log.ts';
import type { Clock } from '../../runtime/runtime.ts';
import type { Plan, Settings, Wanted } from '../plan.ts';
import { refusalOf, refuse, settingsOf, unmetExpectation } from './admission.ts';
import { Catalogue } from './catalogue.ts';
import { withoutDefaults } from './defaults.ts';
import { changeOf, type Draft, joined, shownEvent, whyOf } from './draft.ts';
import type { JudgeTools } from './judge.ts';
import { mergePatch } from './merge-patch.ts';
import { compileTrial, notesOf, planTrial } from './outlook.ts';
import { Pace } from './pace.ts';
import type {
  AuditEvent,
  AuditPage,
  Changed,
  ChangeTerms,
  Imported,
  Mapping,
  Refusal,
  Registry,
  RegistryState,
  ServerEntry,
} from './registry.ts';
import { shownSettings } from './secrets.ts';
import type { Expectation, RegistryStore, StoredEvent } from './store.ts';

/** What a registry is made of. */
export interface LiveParts extends JudgeTools {
  readonly store: RegistryStore;
  readonly clock: Clock;
  readonly log: Log;
  /** What the file says. */
  readonly base: Wanted;
}

/** The gateway that runs by what the registry merges. */
export interface RegistryLink {
  /** What it runs by now. */
  running(): Settings;
  /** What it would do about another configuration. */
  plan(wanted: Wanted): Plan;
  /** Takes up the merged configuration; resolves when it is in force everywhere, or refused. */
  reload(): Promise<void>;
}

/** Attempts at a change of what somebody else is changing just then. */
const TRIES_MAX = 3;

/** The registry of one gateway. */
export class LiveRegistry implements Registry {
  readonly #store: RegistryStore;
  readonly #log: Log;
  readonly #pace: Pace;
  readonly #catalogue: Catalogue;
  readonly #tools: JudgeTools;
  readonly #listeners = new Set<(event: AuditEvent) => void>();
  #link: RegistryLink | null = null;

  /** merge() comes next. */
  constructor({ store, clock, log, base, ...tools }: LiveParts) {
    this.#pace = new Pace(clock, async () => this.#link?.reload());
    this.#store = store;
    this.#log = log;
    this.#tools = tools;
    this.#catalogue = new Catalogue(store, tools, base);
    store.onEvents((events) => this.#happened(events));
  }

  /** The file's configuration with the registry's servers; `base`: what the file says now, null: as before. */
  async merge(base: Wanted | null): Promise<Wanted> {
    if (base !== null) this.#catalogue.rebase(base);
    for (const [server, reason] of await this.#catalogue.refresh())
      this.#log.warn('a server of the registry cannot be served', { server, reason });
    return this.#catalogue.merged();
  }

  /** From now on changes are taken up by this gateway, those that came before too. */
  attach(link: RegistryLink): void {
    this.#link = link;
    this.#pace.request();
  }

  /** Waits for what is being written; nothing may be asked of it afterwards. */
  async close(): Promise<void> {
    this.#link = null;
    await this.#store.close();
  }

  // ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

  get state(): RegistryState {
    return this.#store.state;
  }

  list(): readonly ServerEntry[] {
    return this.#catalogue.entries();
  }

  get(name: string): ServerEntry | null {
    return this.#catalogue.entry(name);
  }

  audit(after: number | null, limit: number): AuditPage {
    const { items, next } = this.#store.audit(after, Math.min(limit, LIMITS.registryPageMax));
    return { items: items.map(shownEvent), next };
  }

  onEvent(callback: (event: AuditEvent) => void): () => void {
    this.#listeners.add(callback);
    return () => this.#listeners.delete(callback);
  }

  async exportText(format: 'yaml' | 'mcpServers', hasSecrets: boolean): Promise<string> {
    const { servers } = this.#catalogue.base.config;
    const ofFile = Object.entries(servers).map(([name, server]) => [name, withoutDefaults(server)] as const);
    const kept = this.#store.list().map(({ name, settings }) => [name, settings] as const);
    const all = [...ofFile, ...kept.filter(([name]) => !this.#catalogue.isOfFile(name))];
    const visible = hasSecrets
      ? all
      : all.map(([name, settings]) => [name, shownSettings(settings)] as const);
    return (await import('./export.ts')).exportServers(visible, format);
  }

  // ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────────

  put(name: string, settings: unknown, terms: ChangeTerms): Promise<Changed | Refusal> {
    return this.#change(name, terms, () => settings);
  }

  patch(name: string, patch: unknown, terms: ChangeTerms): Promise<Changed | Refusal> {
    return this.#patch(name, patch, terms);
  }

  setEnabled(name: string, isEnabled: boolean, terms: ChangeTerms): Promise<Changed | Refusal> {
    return this.#patch(name, { disabled: isEnabled ? null : true }, terms, isEnabled ? 'enable' : 'disable');
  }

  async remove(name: string, terms: ChangeTerms): Promise<Changed | Refusal> {
    const stored = this.#store.get(name);
    if (stored === null)
      return this.#catalogue.isOfFile(name)
        ? refuse('GW_REGISTRY_FILE', `'${name}' is in the file`)
        : refuse('GW_REGISTRY_UNKNOWN', `'${name}' is not in it`);
    const unmet = unmetExpectation(name, stored, terms.expect);
    if (unmet !== null) return unmet;
    return this.#carryOut({ name, verdict: null, settings: null, expect: terms.expect }, terms);
  }

  async importText(
    text: string,
    format: 'yaml' | 'json',
    { actor, isPlan = false }: { readonly actor: string; readonly isPlan?: boolean },
  ): Promise<Imported | Refusal> {
    const { readImport } = await import('./import.ts');
    const found = await readImport(text, format);
    if (!found.ok) return refuse('GW_REGISTRY_VALUE', 'the text cannot be taken over', found.faults);
    const skipped = [...found.refused].map(([name, why]) => ({ name, why }));
    const drafts: Draft[] = [];
    for (const [name, given] of found.servers) {
      const draft = await this.#draft(name, given, 'new', drafts.length);
      if ('ok' in draft) skipped.push({ name, why: whyOf(draft) });
      else drafts.push(draft);
    }
    const plans = drafts.map((draft) => planTrial(draft, this.#link?.running() ?? null, this.#tools.env));
    const plan = { ...joined(plans), notes: [...found.notes] };
    if (!isPlan && drafts.length > 0) {
      const written = await this.#store.write(
        drafts.map((draft) => changeOf({ ...draft, action: 'import' }, actor)),
      );
      if (!written.ok) return refusalOf(written);
    }
    return { ok: true, plan, added: drafts.map(({ name }) => name), skipped };
  }

  async noteAction(event: Parameters<Registry['noteAction']>[0]): Promise<void> {
    const { after = null, ...about } = event;
    const written = await this.#store.write([{ kind: 'note', ...about, after }]);
    if (!written.ok) this.#log.warn('what was done is in no audit', { ...about, reason: written.detail });
  }

  async settled(): Promise<void> {
    // What was written just now asks for its reload in the same turn.
    await this.#pace.settled();
  }

  async #patch(
    name: string,
    patch: unknown,
    terms: ChangeTerms,
    action?: string,
  ): Promise<Changed | Refusal> {
    const stored = this.#store.get(name);
    if (stored === null && !this.#catalogue.isOfFile(name))
      return refuse('GW_REGISTRY_UNKNOWN', `'${name}' is not in it`);
    return this.#change(name, terms, (present) => mergePatch(present, patch), action);
  }

  /** Changes what an entry is, whatever it is by then: somebody else may be at it too. */
  async #change(
    name: string,
    terms: ChangeTerms,
    make: (present: Mapping | null) => unknown,
    action?: string,
  ): Promise<Changed | Refusal> {
    for (let tries = 1; ; tries++) {
      const given = make(this.#store.get(name)?.settings ?? null);
      const draft = await this.#draft(name, given, terms.expect);
      if ('ok' in draft) return draft;
      const changed = await this.#carryOut(action === undefined ? draft : { ...draft, action }, terms);
      const isRaced = !changed.ok && changed.code === 'GW_REGISTRY_VERSION' && terms.expect === null;
      if (!isRaced || tries === TRIES_MAX) return changed;
    }
  }

  /** A change that may be made, or why not. `besides`: new entries that come with it. */
  async #draft(name: string, given: unknown, expect: Expectation, besides = 0): Promise<Draft | Refusal> {
    const catalogue = this.#catalogue;
    const stored = this.#store.get(name);
    if (catalogue.isOfFile(name)) return refuse('GW_REGISTRY_FILE', `'${name}' is in the file`);
    const unmet = unmetExpectation(name, stored, expect);
    if (unmet !== null) return unmet;
    const { serversMax } = catalogue.base.config.registry;
    if (stored === null && this.#store.list().length + besides >= serversMax)
      return refuse(
        'GW_REGISTRY_VALUE',
        `it holds as many servers as registry.serversMax allows: ${serversMax}`,
      );
    const read = settingsOf(given, stored?.settings ?? null);
    if (!read.ok) return read;
    const { settings } = read;
    const verdict = await catalogue.judgeOne(name, settings);
    if (!verdict.ok) return refuse('GW_REGISTRY_VALUE', 'its settings are refused', verdict.faults);
    if (catalogue.isTaken(name))
      return refuse('GW_REGISTRY_VALUE', 'its name is refused', [
        { key: '', detail: 'found a name that an endpoint of the file has; allowed: any other' },
      ]);
    // What was merged with, or unmasked from, a version is a change of that version.
    return { name, verdict, settings, expect: expect ?? stored?.version ?? 'new' };
  }

  /** Says what a change does, and makes it unless only that was asked for. */
  async #carryOut(draft: Draft, { actor, isPlan = false }: ChangeTerms): Promise<Changed | Refusal> {
    const running = this.#link?.running() ?? null;
    const isNew = this.#store.get(draft.name) === null;
    try {
      if (draft.verdict !== null) compileTrial(draft.name, draft.verdict, this.#tools.env);
    } catch (thrown) {
      if (thrown instanceof GatewayError) return refuse('GW_REGISTRY_VALUE', thrown.message);
      throw thrown;
    }
    const notes = notesOf(draft, this.#catalogue, running);
    if (isPlan) {
      const plan =
        this.#link?.plan(this.#catalogue.mergedWith(draft)) ?? planTrial(draft, running, this.#tools.env);
      return { ok: true, plan: { ...plan, notes }, server: null, isNew };
    }
    const isShadowed = this.#catalogue.isTaken(draft.name);
    const plan = isShadowed ? joined([]) : planTrial(draft, running, this.#tools.env);
    const written = await this.#store.write([changeOf(draft, actor)]);
    if (!written.ok) return refusalOf(written);
    const stored = this.#store.get(draft.name);
    const server = draft.settings === null || stored === null ? null : this.#catalogue.entryOf(stored);
    return { ok: true, plan: { ...plan, notes }, server, isNew };
  }

  /** Something was written, here or by another gateway on the same file. */
  #happened(events: readonly StoredEvent[]): void {
    for (const event of events) {
      const visible = shownEvent(event);
      for (const listener of this.#listeners) listener(visible);
    }
    if (events.some((event) => this.#isChange(event))) this.#pace.request();
  }

  /** True for what was done to an entry, rather than noted. */
  #isChange({ id, subject, before }: StoredEvent): boolean {
    return before !== null || this.#store.get(subject)?.version === id;
  }
}
