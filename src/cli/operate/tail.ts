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

/** How often it is asked for what is new. */
const EVERY_MS = 500;
/** Exchanges that one answer holds. */
const PAGE = 1_000;

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
  if (options.lines > 0) before.items.slice(-options.lines).forEach(print);
  const { standard } = world.runtime;
  while (options.follow && !end.signal.aborted && !standard.stdoutIsGone) {
    await pause(EVERY_MS, end.signal);
    const fresh = await traffic.fresh();
    if (fresh instanceof Refusal) return end.signal.aborted ? EXIT.ok : refuse(world, fresh);
    if (fresh.isCut) world.err(`note: there was more: only the last ${PAGE} of this moment are shown\n`);
    fresh.items.forEach(print);
  }
  return EXIT.ok;
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
  /** Oldest first. */
  readonly items: readonly ExchangeView[];
  /** True when there was more than one answer holds. */
  readonly isCut: boolean;
}

/** The traffic of one gateway, through its filters. */
class Traffic {
  readonly #client: AdminClient;
  readonly #filters: URLSearchParams;
  readonly #slowMs: number;
  /** By worker: the number of the last exchange that was seen. */
  readonly #seen = new Map<string, number>();
  /** The newest exchange at the last question, and at the one before. */
  #last: string | null = null;
  #earlier: string | null = null;

  constructor(client: AdminClient, options: TailOptions) {
    this.#client = client;
    this.#slowMs = options.slow ?? 0;
    this.#filters = new URLSearchParams({ limit: String(PAGE) });
    for (const key of ['server', 'endpoint', 'method', 'outcome'] as const) {
      const wanted = options[key];
      if (wanted !== undefined) this.#filters.set(key, wanted);
    }
  }

  /** What is new since it was asked last; at first all that fits in one answer. */
  async fresh(): Promise<Fresh | Refusal> {
    const query = new URLSearchParams(this.#filters);
    // Asked from one question further back: workers write at their own pace, so that an exchange that ended earlier may appear later.
    if (this.#earlier !== null) query.set('after', this.#earlier);
    const page = await this.#client.ask<{
      readonly items: readonly ExchangeView[];
      readonly last: string | null;
    }>(`/api/v1/traffic?${query}`);
    if (page instanceof Refusal) return page;
    const isFirst = this.#last === null;
    this.#earlier = this.#last ?? page.last;
    this.#last = page.last ?? this.#last;
    const fresh = page.items.filter((exchange) => this.#isNew(exchange.key));
    for (const { key } of fresh) this.#note(key);
    return {
      items: fresh.filter(({ durationMs }) => durationMs >= this.#slowMs).reverse(),
      isCut: !isFirst && fresh.length === PAGE,
    };
  }

  #isNew(key: string): boolean {
    const [worker, ordinal] = partsOf(key);
    return ordinal > (this.#seen.get(worker) ?? -1);
  }

  #note(key: string): void {
    const [worker, ordinal] = partsOf(key);
    this.#seen.set(worker, Math.max(ordinal, this.#seen.get(worker) ?? -1));
  }
}

/** `3-1200` → worker 3, its exchange 1200. */
function partsOf(key: string): readonly [string, number] {
  const [worker = '', ordinal = ''] = key.split('-');
  return [worker, Number(ordinal)];
}
