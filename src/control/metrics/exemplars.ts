// Which exchange to show beside a bucket of a histogram: the latest one in the journals that was in it.
// Called by text.ts, once a scrape. Promises: what data workers do costs nothing more for it; a trace's id where the exchange was sampled, its own id otherwise.
import { type JournalRecord, readJournals } from '../../memory/journal.ts';
import type { PlaneMemory } from '../../memory/memory.ts';
import { BOUNDS_US } from '../../memory/series-read.ts';
import type { Exemplar } from './samples.ts';

/** Whose duration: an endpoint's by its place, or a server's by its cell. */
type Subject = 'endpoint' | 'server';

/** The exchanges of one scrape. */
export class Exemplars {
  readonly #found = new Map<string, Exemplar>();

  constructor(memory: PlaneMemory) {
    const { plan } = memory;
    // Newest first: the first of a bucket is its latest. One that was traced tells more, however old it is.
    const records = readJournals(memory, plan.journalRecords * plan.workers);
    for (const record of [...records.filter(({ trace }) => trace !== ''), ...records]) this.#note(record);
  }

  /** For a bucket of a duration; undefined when no exchange of it is remembered. */
  in(subject: Subject, place: number, bucket: number): Exemplar | undefined {
    return this.#found.get(`${subject} ${place} ${bucket}`);
  }

  #note(record: JournalRecord): void {
    const { endpoint, server, durationUs, trace, id, wallMs } = record;
    const at = BOUNDS_US.findIndex((bound) => durationUs < bound);
    const bucket = at < 0 ? BOUNDS_US.length : at;
    const exemplar: Exemplar = {
      labelSet: trace === '' ? { exchange_id: id } : { trace_id: trace },
      value: durationUs / 1e6,
      timestamp: (wallMs + durationUs / 1000) / 1000,
    };
    for (const key of [`endpoint ${endpoint} ${bucket}`, `server ${server} ${bucket}`])
      if (!this.#found.has(key)) this.#found.set(key, exemplar);
  }
}
