// `sluice top`: what a running gateway does, drawn again each second; one table where there is no terminal.
// Called by commands.ts. Promises: the terminal is given back however it ends; a gateway that goes away is waited for; exit code 1 when there is none at the beginning.
import type { z } from '@hono/zod-openapi';
import type { Overview, Server, Status } from '../../control/admin/schemas.ts';
import { createPaint } from '../paint.ts';
import type { Screen } from '../screen.ts';
import { EXIT, type World } from '../world.ts';
import { type AdminClient, openAdmin } from './admin-client.ts';
import type { PlaceOptions } from './admin-place.ts';
import { Refusal, refuse } from './refusal.ts';
import { type Look, type ServerRow, topLines } from './top-view.ts';

type OverviewData = z.output<typeof Overview>;
type ServerView = z.output<typeof Server>;

/** Servers that are looked at each second: more than any terminal shows. */
const SERVERS_MAX = 200;
/** Wait before a gateway that went away is tried again. */
const AGAIN_MS = 1_000;
/** Longest wait for the first figures. */
const FIRST_MS = 30_000;
/** Room of what is no terminal. */
const UNBOUNDED = { columns: Number.POSITIVE_INFINITY, rows: Number.POSITIVE_INFINITY };
const ENDING_KEYS: readonly string[] = ['q', 'Q', '\u0003', '\u0004', '\u001b'];

/** Runs the command; resolves to the exit code. */
export async function top(
  world: World,
  options: PlaceOptions & { readonly once?: boolean },
): Promise<number> {
  const client = await openAdmin(world, options);
  if (client instanceof Refusal) return refuse(world, client);
  const first = await client.ask<z.output<typeof Status>>('/api/v1/status');
  if (first instanceof Refusal) return refuse(world, first);
  const screen = options.once === true ? null : await world.openScreen();
  const watch = new Watch(world, client, screen);
  try {
    if (screen !== null) return await watch.untilEnded(screen);
    return await watch.once();
  } finally {
    screen?.close();
  }
}

/** Looks at one gateway. */
class Watch {
  readonly #world: World;
  readonly #client: AdminClient;
  readonly #screen: Screen | null;
  readonly #end = new AbortController();
  /** Exchanges of each server, and when that was read (ms). */
  #before = new Map<string, { readonly exchanges: number; readonly atMs: number }>();
  #look: Look;

  constructor(world: World, client: AdminClient, screen: Screen | null) {
    this.#world = world;
    this.#client = client;
    this.#screen = screen;
    this.#look = { url: client.url, status: null, overview: null, servers: [], total: 0, trouble: '' };
  }

  /** One table, once there are figures of a second. */
  async once(): Promise<number> {
    const late = setTimeout(() => this.#end.abort(), FIRST_MS);
    const stream = await this.#client.events(this.#end.signal);
    if (stream instanceof Refusal) return refuse(this.#world, stream);
    await this.#readServers();
    for await (const { event, data } of stream) {
      if (event !== 'overview') continue;
      clearTimeout(late);
      const trouble = await this.#take(data);
      if (trouble !== null) return refuse(this.#world, trouble);
      const lines = topLines(this.#look, createPaint(this.#world.isColourWanted()), UNBOUNDED);
      this.#world.out(lines.map((line) => `${line}\n`).join(''));
      this.#end.abort();
      return EXIT.ok;
    }
    return refuse(
      this.#world,
      new Refusal(
        `cannot get figures of ${this.#client.url}: it ended, or said nothing for ${FIRST_MS / 1000} s`,
      ),
    );
  }

  /** Draws until a key or a signal ends it. */
  async untilEnded(screen: Screen): Promise<number> {
    let exitCode: number = EXIT.ok;
    screen.onKey((key) => {
      if (ENDING_KEYS.includes(key)) this.#end.abort();
    });
    screen.onResize(() => this.#draw());
    this.#world.onStopSignal((code) => {
      exitCode = code;
      this.#end.abort();
    });
    const ended = new Promise<void>((resolve) =>
      this.#end.signal.addEventListener('abort', () => resolve(), { once: true }),
    );
    void this.#follow();
    await ended;
    return exitCode;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      this.#draw();
      const stream = await this.#client.events(signal);
      let trouble = stream instanceof Refusal ? stream.why : 'the gateway has ended; it is tried again';
      if (!(stream instanceof Refusal)) {
        await this.#readServers();
        for await (const { event, data } of stream) {
          if (event !== 'overview') continue;
          trouble = (await this.#take(data))?.why ?? trouble;
          this.#draw();
        }
      }
      this.#look = { ...this.#look, trouble };
      this.#draw();
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  #draw(): void {
    const screen = this.#screen;
    if (this.#end.signal.aborted || screen === null) return;
    screen.draw(topLines(this.#look, createPaint(this.#world.isColourWanted()), screen));
  }

  /** Figures have come: the servers are looked at as well. */
  async #take(data: unknown): Promise<Refusal | null> {
    const [status, trouble] = await Promise.all([
      this.#client.ask<z.output<typeof Status>>('/api/v1/status'),
      this.#readServers(),
    ]);
    if (status instanceof Refusal) return status;
    // The gateway checks what it says against the schema that the type is of.
    this.#look = { ...this.#look, status, overview: data as OverviewData, trouble: trouble?.why ?? '' };
    return trouble;
  }

  async #readServers(): Promise<Refusal | null> {
    const page = await this.#client.ask<{ readonly items: readonly ServerView[]; readonly total: number }>(
      `/api/v1/servers?limit=${SERVERS_MAX}`,
    );
    if (page instanceof Refusal) return page;
    const atMs = performance.now();
    const before = this.#before;
    this.#before = new Map();
    const rows = page.items.map((server): ServerRow => {
      const { exchanges } = server.counts;
      const was = before.get(server.name);
      this.#before.set(server.name, { exchanges, atMs });
      const seconds = was === undefined ? 0 : (atMs - was.atMs) / 1000;
      const perSecond =
        was === undefined || seconds <= 0 ? 0 : Math.max(0, exchanges - was.exchanges) / seconds;
      return { server, perSecond };
    });
    this.#look = { ...this.#look, servers: rows, total: page.total };
    return null;
  }
}
