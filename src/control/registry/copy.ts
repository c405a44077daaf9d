// The copy beside the registry: its servers as they were last, for the day on which the file cannot be read.
// Called by sqlite.ts. Promises: replaced in one step, mode 0600, on the disk when it is; at most one write at a time, a bounded time after a change; a copy that
// cannot be written is told of once and harms nothing.
import { LIMITS } from '../../base/limits.ts';
import type { Log } from '../../observe/log.ts';
import type { Clock, Files, TimerId } from '../../runtime/runtime.ts';
import { copyPathOf } from './place.ts';
import { isMapping, parsed } from './rows.ts';
import type { StoredServer } from './store.ts';

/** What a copy holds. */
export interface CopiedServers {
  readonly servers: readonly StoredServer[];
  readonly lastId: number;
}

const FORM = 1;

/** Reads a copy; null when there is none that can be used. */
export async function readCopy(files: Files, path: string): Promise<CopiedServers | null> {
  let text: string;
  try {
    text = await files.readText(copyPathOf(path));
  } catch {
    return null;
  }
  const value = parsed(text);
  if (!isMapping(value) || value.form !== FORM || !Array.isArray(value.servers)) return null;
  const servers: StoredServer[] = [];
  for (const one of value.servers) {
    if (!isMapping(one)) return null;
    const { name, version, place, settings, changedAtMs } = one;
    if (typeof name !== 'string' || !isMapping(settings)) return null;
    if (typeof version !== 'number' || typeof place !== 'number' || typeof changedAtMs !== 'number')
      return null;
    servers.push({ name, version, place, settings, changedAtMs });
  }
  return { servers, lastId: typeof value.lastId === 'number' ? value.lastId : 0 };
}

/** Keeps the copy of one registry's file. */
export class CopyKeeper {
  readonly #tools: { readonly files: Files; readonly clock: Clock; readonly log: Log };
  readonly #path: string;
  #present: () => CopiedServers = () => ({ servers: [], lastId: 0 });
  #timer: TimerId = 0;
  #isDue = false;
  #work: Promise<void> = Promise.resolve();
  #hasFailed = false;

  /** `path` is that of the registry's file. */
  constructor(tools: { readonly files: Files; readonly clock: Clock; readonly log: Log }, path: string) {
    this.#tools = tools;
    this.#path = copyPathOf(path);
  }

  /** Something has changed: the copy follows in a while. `present` gives what there is by then. */
  touch(present: () => CopiedServers): void {
    this.#isDue = true;
    this.#present = present;
    if (this.#timer !== 0) return;
    this.#timer = this.#tools.clock.after(LIMITS.registryCopyMs, () => {
      this.#timer = 0;
      void this.flush();
    });
  }

  /** Writes now what is due; resolves when it is on the disk, or could not be written. */
  flush(): Promise<void> {
    this.#tools.clock.cancel(this.#timer);
    this.#timer = 0;
    this.#work = this.#work.then(() => this.#write());
    return this.#work;
  }

  async #write(): Promise<void> {
    if (!this.#isDue) return;
    this.#isDue = false;
    const { files, log } = this.#tools;
    const draft = `${this.#path}.new`;
    try {
      // One that a gateway left behind when it was killed.
      await files.remove(draft);
      await files.createPrivate(draft, `${JSON.stringify({ form: FORM, ...this.#present() })}\n`);
      await files.rename(draft, this.#path);
      this.#hasFailed = false;
    } catch (thrown) {
      if (!this.#hasFailed)
        log.warn('the copy of the registry cannot be written', { file: this.#path, reason: String(thrown) });
      this.#hasFailed = true;
    }
  }
}
