// The keys that session ids are sealed with: made once, kept in a file of the gateway's data, replaced in time.
// Called by cli/lifecycle.ts on the main thread. Promises: never rejects, since a gateway serves without a file as well; a file is changed under a lock and in one
// step, so that gateways that start together end up with the same keys; no key gets into a message or a log line.
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Log } from '../observe/log.ts';
import type { Runtime, TimerId } from '../runtime/runtime.ts';
import type { KeyRing, SealKey } from '../snapshot.ts';

/** What keeping keys takes of the world. */
export interface KeyTools extends Pick<Runtime, 'files' | 'clock' | 'random'> {
  readonly log: Log;
}

/** A key with the time it was made, milliseconds since the epoch. */
interface KeyRow extends SealKey {
  readonly madeAtMs: number;
}

const FILE_NAME = 'keys.json';
const VERSION = 1;
const KEY_BYTES = 32;
const ID_MAX = 255;
const LOCK_POLL_MS = 20;

/** Holds the keys of one gateway. */
export class KeyKeeper {
  readonly #tools: KeyTools;
  readonly #folder: string | null;
  /** Oldest first. */
  #rows: readonly KeyRow[] = [];
  /** True once a key was made that no file holds: from then on the file is somebody else's. */
  #isAlone: boolean;
  #timer: TimerId = 0;

  /** `folder` is where data is kept; null: nowhere, and that is as it should be. */
  constructor(tools: KeyTools, folder: string | null) {
    this.#tools = tools;
    this.#folder = folder;
    this.#isAlone = folder === null;
  }

  /** The keys as they are to be used now: read from the file; made when there are none, or when the newest has served its time. */
  async refresh(): Promise<KeyRing> {
    if (this.#folder === null || this.#isAlone) this.#rows = this.#due(this.#rows);
    else {
      try {
        this.#rows = await this.#fromFile(this.#folder);
      } catch (thrown) {
        this.#standAlone(this.#folder, thrown);
      }
    }
    return ringOf(this.#rows);
  }

  /** Looks every day whether the keys have changed, and hands them over when they have. */
  watch(onRing: (ring: KeyRing) => void): void {
    this.#timer = this.#tools.clock.after(LIMITS.sealKeyCheckMs, () => {
      const before = this.#rows.map(idOf).join();
      void this.refresh().then((ring) => {
        if (this.#rows.map(idOf).join() !== before) onRing(ring);
        this.watch(onRing);
      });
    });
  }

  /** Ends watching. */
  close(): void {
    this.#tools.clock.cancel(this.#timer);
  }

  #standAlone(folder: string, thrown: unknown): void {
    const rows = this.#due(this.#rows);
    this.#isAlone ||= rows !== this.#rows;
    this.#rows = rows;
    this.#tools.log.warn('the keys of session ids cannot be kept: sessions will not outlive this gateway', {
      file: pathOf(folder),
      reason: thrown instanceof GatewayError ? thrown.detail : failureText(codeOf(thrown)),
    });
  }

  async #fromFile(folder: string): Promise<readonly KeyRow[]> {
    const seen = await this.#read(folder);
    if (seen !== null) {
      if (this.#due(seen) === seen) return seen;
      // They open what is out there, also if no new one can be written.
      this.#rows = seen;
    }
    await this.#tools.files.makePrivateFolder(folder);
    const lock = await this.#lock(folder);
    try {
      return await this.#rewrite(folder);
    } finally {
      await this.#tools.files.remove(lock);
    }
  }

  /** Under the lock: another gateway may have been faster, so what the file holds now counts. */
  async #rewrite(folder: string): Promise<readonly KeyRow[]> {
    const { files } = this.#tools;
    const seen = (await this.#read(folder)) ?? [];
    const rows = this.#due(seen);
    if (rows === seen) return rows;
    const draft = `${pathOf(folder)}.new`;
    // One that a gateway left behind when it was killed.
    await files.remove(draft);
    await files.createPrivate(draft, textOf(rows));
    await files.rename(draft, pathOf(folder));
    return rows;
  }

  /** The rows of the file; null when there is none. */
  async #read(folder: string): Promise<readonly KeyRow[] | null> {
    let text: string;
    try {
      text = await this.#tools.files.readText(pathOf(folder));
    } catch (thrown) {
      if (codeOf(thrown) === 'ENOENT') return null;
      throw thrown;
    }
    const rows = rowsOf(text);
    if (rows !== null) return rows;
    throw new GatewayError(
      'GW_CONFIG_READ',
      'it is damaged or of another version: move it away, and new keys will be made',
    );
  }

  /** Resolves with the lock's path once it is ours. A lock that nobody lets go of was left by a gateway that was killed. */
  async #lock(folder: string): Promise<string> {
    const { files, clock, log } = this.#tools;
    const lock = `${pathOf(folder)}.lock`;
    const until = clock.now() + LIMITS.sealKeyLockMs;
    for (;;) {
      try {
        await files.createPrivate(lock, '');
        return lock;
      } catch (thrown) {
        if (codeOf(thrown) !== 'EEXIST') throw thrown;
      }
      if (clock.now() < until) await new Promise<void>((resolve) => clock.after(LOCK_POLL_MS, resolve));
      else {
        log.info('a lock that was left behind is removed', { file: lock });
        await files.remove(lock);
        await files.createPrivate(lock, '');
        return lock;
      }
    }
  }

  /** The rows with what time demands of them; the same array when that is nothing. */
  #due(rows: readonly KeyRow[]): readonly KeyRow[] {
    const now = this.#tools.clock.wall();
    const newest = rows.at(-1);
    const isDue = newest === undefined || now - newest.madeAtMs >= LIMITS.sealKeyCurrentMs;
    // A key counts as replaced from the day its successor was made: until then it sealed.
    const kept = rows.filter((_, at) => {
      const successor = rows[at + 1];
      return successor === undefined || now - successor.madeAtMs < LIMITS.sealKeyKeptMs;
    });
    if (!isDue) return kept.length === rows.length ? rows : kept;
    const fresh: KeyRow = {
      id: freeId(kept),
      madeAtMs: now,
      bytes: this.#tools.random.bytes(KEY_BYTES),
    };
    return [...kept.slice(1 - LIMITS.sealKeysMax), fresh];
  }
}

function pathOf(folder: string): string {
  return `${folder}/${FILE_NAME}`;
}

function idOf(row: KeyRow): number {
  return row.id;
}

/** The id after the newest one that no key has. */
function freeId(rows: readonly KeyRow[]): number {
  const taken = rows.map(idOf);
  let id = rows.at(-1)?.id ?? 0;
  do id = (id % ID_MAX) + 1;
  while (taken.includes(id));
  return id;
}

function ringOf(rows: readonly KeyRow[]): KeyRing {
  const keys = rows.map(({ id, bytes }): SealKey => ({ id, bytes }));
  const current = keys.pop();
  if (current === undefined) throw new GatewayError('GW_BASE_INTERNAL', 'a ring without a key');
  return { current, older: keys };
}

function textOf(rows: readonly KeyRow[]): string {
  const keys = rows.map(({ id, madeAtMs, bytes }) => ({
    id,
    madeAtMs,
    key: bytes.toBase64({ alphabet: 'base64url', omitPadding: true }),
  }));
  return `${JSON.stringify({ version: VERSION, keys }, null, 2)}\n`;
}

/** The rows of a file's text; null when that is not what this version writes. */
function rowsOf(text: string): readonly KeyRow[] | null {
  const value = parsed(text);
  if (!isRecord(value) || value.version !== VERSION || !Array.isArray(value.keys)) return null;
  const rows: KeyRow[] = [];
  for (const one of value.keys) {
    const row = rowOf(one);
    if (row === null || rows.some((other) => other.id === row.id)) return null;
    rows.push(row);
  }
  if (rows.length === 0 || rows.length > LIMITS.sealKeysMax) return null;
  return rows.sort((a, b) => a.madeAtMs - b.madeAtMs);
}

function rowOf(value: unknown): KeyRow | null {
  if (!isRecord(value)) return null;
  const { id, madeAtMs, key } = value;
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id > ID_MAX) return null;
  if (typeof madeAtMs !== 'number' || typeof key !== 'string') return null;
  const bytes = bytesOf(key);
  return bytes?.length === KEY_BYTES ? { id, madeAtMs, bytes } : null;
}

function bytesOf(text: string): Uint8Array | null {
  try {
    return Uint8Array.fromBase64(text, { alphabet: 'base64url' });
  } catch {
    return null;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function failureText(code: string): string {
  if (code === 'EACCES' || code === 'EPERM') return 'no permission to read and write it';
  if (code === 'EROFS') return 'the file system is read-only';
  return `a failure of the file system (${code === '' ? 'unknown' : code})`;
}

/** The system's code of a failure, or ''. */
function codeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
}
