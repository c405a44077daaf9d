// The servers of a gateway that are not only read from its configuration file: what can be asked of them and done with them while it runs.
// Called by the admin API; implemented by live-registry.ts. Promises: the file's entries are read-only and win over entries of the same name; a change is durable when
// its promise resolves, and is refused whole, in words, when the configuration with it could not be served; every change leaves an event that nothing changes or deletes.
import type { ErrorCode } from '../../base/errors.ts';
import type { Plan } from '../plan.ts';

/** A JSON object, as it came or as it goes. */
export type Mapping = Readonly<Record<string, unknown>>;

/** How the registry is: all well; kept from writing; its file damaged (then the last good copy serves); or there is none that is kept. */
export interface RegistryState {
  readonly state: 'ok' | 'read-only' | 'damaged' | 'absent';
  /** Absolute path of its file, or null. */
  readonly path: string | null;
  /** What is the matter and what to do; '' while all is well. */
  readonly detail: string;
}

/** One server, of the file or of the registry. */
export interface ServerEntry {
  readonly name: string;
  readonly origin: 'file' | 'registry';
  /** Number of the event that made the entry what it is, never used twice; null for the file's. */
  readonly version: number | null;
  readonly isEnabled: boolean;
  /** True for an entry of the registry while the file has one of that name, or an endpoint of it. */
  readonly isShadowed: boolean;
  /** As they were written (the file's: with defaults), secrets shown as '•••'. */
  readonly settings: Mapping;
  /** Why an enabled entry of the registry is not served, such as a variable of the environment that is not set; null: it is, or is meant not to be. */
  readonly problem: string | null;
  /** Milliseconds since the epoch; null for the file's. */
  readonly changedAtMs: number | null;
}

/** A plan with what else is worth knowing, in words. */
export interface ChangePlan extends Plan {
  readonly notes: readonly string[];
}

/** Who wants a change, and what the entry must be like for it: of this version, not there yet ('new'), or any (null). */
export interface ChangeTerms {
  readonly actor: string;
  readonly expect: number | 'new' | null;
  /** True: only says what would happen. */
  readonly isPlan?: boolean;
}

/** Why nothing was changed. `code` decides the HTTP status (base/errors.ts); `problems` name keys below the server, or its name. */
export interface Refusal {
  readonly ok: false;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly problems: readonly { readonly key: string; readonly detail: string }[];
}

/** What was changed, or would be. */
export interface Changed {
  readonly ok: true;
  readonly plan: ChangePlan;
  /** As it is now; null when it is gone, or nothing was written because only the plan was asked for. */
  readonly server: ServerEntry | null;
  /** True when there was no entry of this name before. */
  readonly isNew: boolean;
}

/** What an import changed, or would. */
export interface Imported {
  readonly ok: true;
  readonly plan: ChangePlan;
  readonly added: readonly string[];
  readonly skipped: readonly { readonly name: string; readonly why: string }[];
}

/** One event. */
export interface AuditEvent {
  /** Counts up from 1. */
  readonly id: number;
  readonly atMs: number;
  readonly actor: string;
  /** create, replace, remove, enable, disable, import, restore, or what noteAction() was told. */
  readonly action: string;
  /** Name of a server, or what else was acted on. */
  readonly subject: string;
  /** Settings, secrets shown as '•••'. */
  readonly before: unknown;
  readonly after: unknown;
}

/** Some events, oldest first. */
export interface AuditPage {
  readonly items: readonly AuditEvent[];
  /** What to pass as `after` for more; null when there are no more now. */
  readonly next: number | null;
}

/** See the head of this file. */
export interface Registry {
  readonly state: RegistryState;
  /** The file's servers in their order, then the registry's in the order in which they came. */
  list(): readonly ServerEntry[];
  /** The one that counts: the file's, if both have one. */
  get(name: string): ServerEntry | null;
  /** '•••' in the settings stands for what is stored there. */
  put(name: string, settings: unknown, terms: ChangeTerms): Promise<Changed | Refusal>;
  /** JSON Merge Patch (RFC 7396). */
  patch(name: string, patch: unknown, terms: ChangeTerms): Promise<Changed | Refusal>;
  remove(name: string, terms: ChangeTerms): Promise<Changed | Refusal>;
  setEnabled(name: string, isEnabled: boolean, terms: ChangeTerms): Promise<Changed | Refusal>;
  /** Entries that are there already are skipped, not replaced. `text` is YAML with `servers`, or JSON with `mcpServers` or `servers`. */
  importText(
    text: string,
    format: 'yaml' | 'json',
    terms: { readonly actor: string; readonly isPlan?: boolean },
  ): Promise<Imported | Refusal>;
  /** Every server, the file's too, as a configuration or as clients write it; without secrets these are '•••'. */
  exportText(format: 'yaml' | 'mcpServers', hasSecrets: boolean): Promise<string>;
  /** Events after the one of this number, `limit` at most; `after` null: the newest ones. */
  audit(after: number | null, limit: number): AuditPage;
  /** Keeps an event of something that was done besides: a restart, a breaker tripped. Never rejects: where nothing can be kept the log has it. */
  noteAction(event: {
    readonly actor: string;
    readonly action: string;
    readonly subject: string;
    readonly after?: unknown;
  }): Promise<void>;
  /** Resolves once what was changed before the call is in force in all workers. */
  settled(): Promise<void>;
  /** Calls back after each change, of this gateway or of another one on the same file, with its event; returns what ends that. */
  onEvent(callback: (event: AuditEvent) => void): () => void;
}

/** Stands for a secret that is not shown. */
export const MASK = '•••';
