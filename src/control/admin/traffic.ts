// Operations: the last exchanges, from the journals of all workers.
// Called by app.ts, events.ts. Promises: newest first; a filter looks at everything that the journals hold; a key names one exchange for as long as it is held.
import { createRoute, z } from '@hono/zod-openapi';
import { decode } from '../../base/bytes.ts';
import { type JournalRecord, readJournal, readJournals } from '../../memory/journal.ts';
import { isoTime } from '../../observe/fields.ts';
import type { Snapshot } from '../../snapshot.ts';
import type { Governed } from './governed.ts';
import { type AdminApp, answers, type Surroundings, unknown } from './operation.ts';
import { refusals } from './problem.ts';
import { Exchange } from './schemas.ts';
import { cellsIn, slotOf } from './server-view.ts';

const PAGE = { default: 100, max: 1_000 };
const KEY = /^\d{1,2}-\d{1,15}$/;
const tags = ['traffic'];
const word = z.string().max(200).optional();

const filters = z.strictObject({
  limit: z.coerce.number().int().min(1).max(PAGE.max).optional(),
  after: z
    .string()
    .regex(KEY)
    .optional()
    .openapi({ description: 'Only exchanges that ended after this one.' }),
  endpoint: word,
  server: word,
  method: word,
  name: word,
  outcome: Exchange.shape.outcome.optional(),
  search: word,
});

const listTraffic = createRoute({
  method: 'get',
  path: '/api/v1/traffic',
  tags,
  summary: 'The last exchanges, newest first',
  request: { query: filters },
  responses: {
    200: answers(
      z.strictObject({ items: z.array(Exchange), last: z.string().nullable() }),
      '`last` is the newest of all.',
    ),
    ...refusals(),
  },
});
const getExchange = createRoute({
  method: 'get',
  path: '/api/v1/traffic/{key}',
  tags,
  summary: 'One exchange',
  request: { params: z.strictObject({ key: z.string().regex(KEY) }) },
  responses: { 200: answers(Exchange, 'The exchange.'), ...refusals('GW_ADMIN_UNKNOWN') },
});

/** Outcomes by the numbers that journals hold: those of server/record.ts. */
const OUTCOMES = Exchange.shape.outcome.options;

/** What numbers of a journal mean under a snapshot. */
class Names {
  readonly #endpoints: ReadonlyMap<number, string>;
  readonly #servers: ReadonlyMap<number, string>;

  constructor(snapshot: Snapshot) {
    this.#endpoints = new Map(snapshot.endpoints.map(({ path }, at) => [slotOf(snapshot, at), path]));
    const cells = cellsIn(snapshot);
    this.#servers = new Map(
      snapshot.servers.flatMap(({ name }, at) => (cells[at] ?? []).map((cell) => [cell, name] as const)),
    );
  }

  view(record: JournalRecord): z.output<typeof Exchange> {
    const ms = (us: number): number => us / 1000;
    const { gatewayUs, queueUs, connectUs, upstreamUs } = record;
    return {
      key: keyOf(record),
      at: isoTime(record.wallMs),
      worker: record.worker,
      endpoint: this.#endpoints.get(record.endpoint) ?? '',
      server: this.#servers.get(record.server) ?? null,
      method: record.method,
      name: record.name,
      id: record.id,
      status: record.status,
      outcome: OUTCOMES[record.outcome] ?? 'failed',
      errorCode: record.errorCode,
      durationMs: ms(record.durationUs),
      phases: {
        gatewayMs: ms(gatewayUs),
        queueMs: ms(queueUs),
        connectMs: ms(connectUs),
        upstreamMs: ms(upstreamUs),
      },
      replica: record.replica,
      sends: record.sends,
      isCached: record.isCached,
      trace: record.trace === '' ? null : record.trace,
      requestBytes: record.requestBytes,
      replyBytes: record.replyBytes,
      request: decode(record.body),
    };
  }
}

function keyOf({ worker, ordinal }: JournalRecord): string {
  return `${worker}-${ordinal}`;
}

/** Whoever ended later is newer. */
function endedAtMs({ wallMs, durationUs }: JournalRecord): number {
  return wallMs + durationUs / 1000;
}

/** All that the journals hold, newest first. */
function recordsOf({ memory }: Governed): JournalRecord[] {
  const { workers, journalRecords } = memory.plan;
  return readJournals(memory, workers * journalRecords).sort((a, b) => endedAtMs(b) - endedAtMs(a));
}

/** Tells what has happened since it was asked last. */
export class TrafficFeed {
  readonly #governed: Governed;
  /** By worker: the number of the first record that is new. */
  readonly #next: number[] = [];

  constructor(governed: Governed) {
    this.#governed = governed;
    for (const { worker, ordinal } of recordsOf(governed))
      this.#next[worker] = Math.max(this.#next[worker] ?? 0, ordinal + 1);
  }

  /** New exchanges, newest first, `countMax` at most. */
  take(countMax: number): z.output<typeof Exchange>[] {
    const { memory } = this.#governed;
    const fresh = Array.from({ length: memory.plan.workers }, (_, worker) =>
      readJournal(memory, worker, countMax),
    )
      .flat()
      .filter(({ worker, ordinal }) => ordinal >= (this.#next[worker] ?? 0))
      .sort((a, b) => endedAtMs(b) - endedAtMs(a));
    for (const { worker, ordinal } of fresh)
      this.#next[worker] = Math.max(this.#next[worker] ?? 0, ordinal + 1);
    const names = new Names(this.#governed.snapshot());
    return fresh.slice(0, countMax).map((record) => names.view(record));
  }
}

/** Adds them. */
export function addTraffic(app: AdminApp, { governed }: Surroundings): void {
  app.openapi(listTraffic, (c) => {
    const wanted = c.req.valid('query');
    const names = new Names(governed.snapshot());
    const records = recordsOf(governed);
    const known =
      wanted.after === undefined ? -1 : records.findIndex((record) => keyOf(record) === wanted.after);
    const since = known < 0 ? records : records.slice(0, known);
    const items: z.output<typeof Exchange>[] = [];
    for (const record of since) {
      const view = names.view(record);
      if (fits(view, wanted)) items.push(view);
      if (items.length === (wanted.limit ?? PAGE.default)) break;
    }
    const [newest] = records;
    return c.json({ items, last: newest === undefined ? null : keyOf(newest) }, 200);
  });
  app.openapi(getExchange, (c) => {
    const { key } = c.req.valid('param');
    const record = recordsOf(governed).find((candidate) => keyOf(candidate) === key);
    if (record === undefined) throw unknown('exchange', key);
    return c.json(new Names(governed.snapshot()).view(record), 200);
  });
}

function fits(view: z.output<typeof Exchange>, wanted: z.output<typeof filters>): boolean {
  const { endpoint, server, method, name, outcome, search } = wanted;
  if (endpoint !== undefined && view.endpoint !== endpoint) return false;
  if (server !== undefined && view.server !== server) return false;
  if (method !== undefined && view.method !== method) return false;
  if (name !== undefined && view.name !== name) return false;
  if (outcome !== undefined && view.outcome !== outcome) return false;
  if (search === undefined || search === '') return true;
  const { method: asked, name: called, request, id, errorCode, endpoint: path } = view;
  return [asked, called, request, id, errorCode ?? '', path, view.server ?? '']
    .join('\n')
    .toLowerCase()
    .includes(search.toLowerCase());
}
