// Which server and which of its tools (or prompts) a name stands for, where the name does not tell by itself: own names, renamed and shortened ones.
// Called by joined-lists.ts. Promises: an answer is one that the lists gave; what a server listed last holds while it cannot be asked; bounded; unknown names make
// it ask again at most once a second.
import type { NameGiver, OwnName } from '../mcp/outward.ts';
import type { Clock } from '../runtime/runtime.ts';

/** Names kept, of all kinds and clients. */
const NAMES_MAX = 200_000;
/** Wait before the servers are asked again for the sake of a name that nobody knew. */
const REFRESH_MS = 1_000;

interface Entry {
  readonly kind: string;
  names: ReadonlyMap<string, OwnName>;
  /** Running refresh, shared by all who wait for it. */
  refreshing: Promise<void> | null;
  refreshedAtMs: number;
  isOutdated: boolean;
}

/** The names of one endpoint, for each who may see other ones. */
export class Catalogue {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What a name stands for; null when it is not known. */
  find(key: string, name: string): OwnName | null {
    return this.#entries.get(key)?.names.get(name) ?? null;
  }

  /** True when a server has said since that its list is another one. */
  isOutdated(key: string): boolean {
    return this.#entries.get(key)?.isOutdated === true;
  }

  /** Lists of these servers came, with these names; what is known of other servers stays. `isKept` tells which names are worth it. */
  note(
    key: string,
    kind: string,
    found: {
      readonly names: NameGiver;
      readonly servers: ReadonlySet<string>;
      readonly isKept: (name: string) => boolean;
    },
  ): void {
    const entry = this.#entry(key, kind);
    const names = new Map<string, OwnName>();
    for (const [name, owner] of found.names.owners) if (found.isKept(name)) names.set(name, owner);
    for (const [name, owner] of entry.names)
      if (!found.servers.has(owner.server) && !names.has(name)) names.set(name, owner);
    this.#count += names.size - entry.names.size;
    entry.names = names;
    entry.isOutdated = false;
    for (const [oldest, { names: gone }] of this.#entries) {
      if (this.#count <= NAMES_MAX || oldest === key) break;
      this.#entries.delete(oldest);
      this.#count -= gone.size;
    }
  }

  /** Asks the servers, unless that was just done; resolves when it is. */
  refresh(key: string, kind: string, ask: () => Promise<void>): Promise<void> {
    const entry = this.#entry(key, kind);
    if (entry.refreshing !== null) return entry.refreshing;
    if (this.#clock.now() - entry.refreshedAtMs < REFRESH_MS) return Promise.resolve();
    entry.refreshing = ask().finally(() => {
      entry.refreshing = null;
      entry.refreshedAtMs = this.#clock.now();
    });
    return entry.refreshing;
  }

  /** Lists of this kind have changed. */
  outdate(kind: string): void {
    for (const entry of this.#entries.values()) if (entry.kind === kind) entry.isOutdated = true;
  }

  /** Other servers, or another view of them: what is known holds for neither. */
  clear(): void {
    this.#entries.clear();
    this.#count = 0;
  }

  /** The entry of a key, which becomes the one that was used last. */
  #entry(key: string, kind: string): Entry {
    const entry = this.#entries.get(key) ?? {
      kind,
      names: new Map<string, OwnName>(),
      refreshing: null,
      refreshedAtMs: Number.NEGATIVE_INFINITY,
      isOutdated: false,
    };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry;
  }
}
