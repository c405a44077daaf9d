// Where the registry keeps its servers and its events: the contract.
// Called by live-registry.ts; implemented by sqlite.ts and memory-store.ts, one suite (test/contract/registry) for both. Promises: a write is whole or not at all, and
// durable (where anything is kept) when its promise resolves; reads are of memory; settings are kept as they came, secrets included, so nothing here is to be shown as it is.
import type { ErrorCode } from '../../base/errors.ts';
import type { Mapping, RegistryState } from './registry.ts';

/** One server as it is kept. */
export interface StoredServer {
  readonly name: string;
  /** Number of the event that made it what it is, and of the one that made it. */
  readonly version: number;
  readonly place: number;
  readonly settings: Mapping;
  /** Milliseconds since the epoch. */
  readonly changedAtMs: number;
}

/** One event as it is kept. */
export interface StoredEvent {
  readonly id: number;
  readonly atMs: number;
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** What a server must be like for a change: of this version, not there ('new'), or anything (null). */
export type Expectation = number | 'new' | null;

/** One thing to write. Without an action of its own a put is `create` or `replace`, whichever it is. */
export type Change =
  | {
      readonly kind: 'put';
      readonly name: string;
      readonly settings: Mapping;
      readonly expect: Expectation;
      readonly actor: string;
      readonly action?: string;
    }
  | {
      readonly kind: 'remove';
      readonly name: string;
      readonly expect: Expectation;
      readonly actor: string;
    }
  | {
      readonly kind: 'note';
      readonly actor: string;
      readonly action: string;
      readonly subject: string;
      readonly after: unknown;
    };

/** What came of a write: an event for each change, or why nothing of it was done. */
export type Written =
  | { readonly ok: true; readonly events: readonly StoredEvent[] }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

/** Some events, oldest first; `next` is where to go on, null when there are no more now. */
export interface StoredEvents {
  readonly items: readonly StoredEvent[];
  readonly next: number | null;
}

/** See the head of this file. */
export interface RegistryStore {
  readonly state: RegistryState;
  /** Every server, in the order in which they came. */
  list(): readonly StoredServer[];
  get(name: string): StoredServer | null;
  /** All of the changes or none. Writes that are asked for together become durable together. */
  write(changes: readonly Change[]): Promise<Written>;
  /** Events after the one of this number; `after` null: the newest. */
  audit(after: number | null, limit: number): StoredEvents;
  /** Calls back with the events of each write, also with those of other processes on the same file; returns what ends that. */
  onEvents(callback: (events: readonly StoredEvent[]) => void): () => void;
  /** Waits for what was asked for; nothing may be asked of it afterwards. */
  close(): Promise<void>;
}
