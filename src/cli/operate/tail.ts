// `sluice tail`: the traffic of a running gateway, one line an exchange, as they end.
// Called by commands.ts. Promises: nothing is shown twice; what was left out because there was too much of it is said; Ctrl-C, or a reader that is gone, ends it with
// exit code 0, since that is how it is ended.
import type { z } from '@hono/zod-openapi';
import type { Exchange } from '../../control/admin/schemas.ts';
import { createPaint } from '../paint.ts';
import { EXIT, type World } from '../world.ts';
import { type AdminClient, openAdmin } from './admin-client.ts';
import type { PlaceOptions } from './admin-place.ts';
import { Refusal, refuse } from './refusal.ts';
import { exchangeLine } from './traffic-line.ts';

type ExchangeView = z.output<typeof Exchange>;

/** Options as the command line gives them. */
export interface TailOptions extends PlaceOptions {
  readonly server?: string;
  readonly endpoint?: string;
  readonly method?: string;
  readonly outcome?: string;
  /** Least duration in ms. */
  readonly slow?: number;
  readonly lines: number;
  readonly follow: boolean;
  readonly json?: boolean;
}

/** How often it is asked for what is new, and how often while there is much: a journal holds the last few hundred exchanges of a worker. */
const EVERY_MS = 500;
const BUSY_MS = 100;
const BUSY_COUNT = 20;
/** Exchanges that one answer holds. */
const PAGE = 1_000;
/** What was missed is told this often. */
const NOTE_MS = 5_000;

/** Runs the command; resolves to the exit code. */
export async function tail(world: World, options: TailOptions): Promise<number> {
  const client = await openAdmin(world, options);
  if (client instanceof Refusal) return refuse(world, client);
  const end = new AbortController();
  world.onStopSignal(() => end.abort());
  const traffic = new Traffic(client, options);
  const paint = createPaint(world.isColourWanted());
  const print = (exchange: ExchangeView): void =>
    world.out(options.json === true ? `${JSON.stringify(exchange)}\n` : `${exchangeLine(exchange, paint)}\n`);
  const before = await traffic.fresh();
  if (before instanceof Refusal) return refuse(world, before);
  if (options.lines > 0) before.shown.slice(-options.lines).forEach(print);
  const note = new MissedNote(world);
  const { standard } = world.runtime;
  let waitMs = EVERY_MS;
  while (options.follow && !end.signal.aborted && !standard.stdoutIsGone) {
    await pause(waitMs, end.signal);
    const fresh = await traffic.fresh();
    if (fresh instanceof Refusal) return end.signal.aborted ? EXIT.ok : refuse(world, fresh);
    fresh.shown.forEach(print);
    note.add(fresh.missed, end.signal.aborted);
    waitMs = fresh.count >= BUSY_COUNT ? BUSY_MS : EVERY_MS;
  }
  return EXIT.ok;
}

/** Says on stderr how many exchanges came too fast to be seen. */
class MissedNote {
  readonly #world: World;
  #count = 0;
  #toldAtMs = Number.NEGATIVE_INFINITY;

  constructor(world: World) {
    this.#world = world;
  }

  /** `isLast`: there is no later time to tell. */
  add(count: number, isLast: boolean): void {
    this.#count += count;
    const nowMs = performance.now();
    if (this.#count === 0 || (!isLast && nowMs - this.#toldAtMs < NOTE_MS)) return;
    this.#world.err(`note: ${this.#count} more exchanges came too fast to be looked at\n`);
    this.#count = 0;
    this.#toldAtMs = nowMs;
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}

/** What has not been seen yet. */
interface Fresh {
  /** What the filters let through, oldest first. */
  readonly shown: readonly ExchangeView[];
  /** All that is new. */
  readonly count: number;
  /** What was gone from the journals before it was asked for. */
  readonly missed: number;
}

/** The traffic of one gateway. It is filtered here: the numbers of what is left out tell what was missed. */
class Traffic {
  readonly #client: AdminClient;
  readonly #options: TailOptions;
  /** By worker: the number of the last exchange that was seen. */
  readonly #seen = new Map<string, number>();
  /** The newest exchange at the last question, and at the one before. */
  #last: string | null = null;
  #earlier: string | null = null;

  constructor(client: AdminClient, options: TailOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** What is new since it was asked last; at first all that the journals hold. */
  async fresh(): Promise<Fresh | Refusal> {
    // Asked from one question further back: workers write at their own pace, so that an exchange that ended earlier may appear later.
    const after = this.#earlier === null ? '' : `&after=${this.#earlier}`;
    const page = await this.#client.ask<{
      readonly items: readonly ExchangeView[];
      readonly last: string | null;
    }>(`/api/v1/traffic?limit=${PAGE}${after}`);
    if (page instanceof Refusal) return page;
    this.#earlier = this.#last ?? page.last;
    this.#last = page.last ?? this.#last;
    const fresh = page.items.filter(({ key }) => this.#isNew(key)).reverse();
    const missed = this.#note(fresh);
    return { shown: fresh.filter((one) => isWanted(one, this.#options)), count: fresh.length, missed };
  }

  #isNew(key: string): boolean {
    const [worker, ordinal] = partsOf(key);
    return ordinal > (this.#seen.get(worker) ?? -1);
  }

  /** Takes down what is new; how many are missing among them. */
  #note(fresh: readonly ExchangeView[]): number {
    const last = new Map<string, number>();
    for (const { key } of fresh) {
      const [worker, ordinal] = partsOf(key);
      last.set(worker, Math.max(ordinal, last.get(worker) ?? -1));
    }
    let missed = -fresh.length;
    for (const [worker, ordinal] of last) {
      const known = fresh.filter(({ key }) => partsOf(key)[0] === worker).length;
      // Of a worker that was not seen before nobody knows what was missed.
      missed += ordinal - (this.#seen.get(worker) ?? ordinal - known);
      this.#seen.set(worker, ordinal);
    }
    return missed;
  }
}

/** `3-1200` → worker 3, its exchange 1200. */
function partsOf(key: string): readonly [string, number] {
  const [worker = '', ordinal = ''] = key.split('-');
  return [worker, Number(ordinal)];
}

function isWanted(exchange: ExchangeView, wanted: TailOptions): boolean {
  for (const key of ['server', 'endpoint', 'method', 'outcome'] as const)
    if (wanted[key] !== undefined && exchange[key] !== wanted[key]) return false;
  return exchange.durationMs >= (wanted.slow ?? 0);
}
