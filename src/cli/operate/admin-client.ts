// Requests of commands to a running gateway's admin API (docs/admin-api.md).
// Called by the commands of operate/. Promises: nothing throws: what goes wrong is a Refusal with what to do; no redirect is followed, and nothing for this machine
// goes through a proxy, so that the token gets nowhere else; replies are of the types that control/admin/schemas.ts checks at the gateway.
import { fieldOf } from '../client.ts';
import type { World } from '../world.ts';
import { type AdminPlace, findAdmin, isHere, type PlaceOptions } from './admin-place.ts';
import { type LiveEvent, readEvents } from './live-events.ts';
import { Refusal } from './refusal.ts';

/** Longest wait for an answer, or for the head of a stream. */
const ANSWER_MS = 30_000;

/** What to ask for besides the path. */
export interface Ask {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly body?: unknown;
  /** Media type of the body. */
  readonly type?: string;
}

/** Finds the gateway that the command line means. */
export async function openAdmin(world: World, options: PlaceOptions): Promise<AdminClient | Refusal> {
  const place = await findAdmin(world, options);
  return place instanceof Refusal ? place : new AdminClient(place);
}

/** One gateway's admin API. */
export class AdminClient {
  readonly #place: AdminPlace;

  constructor(place: AdminPlace) {
    this.#place = place;
    if (isHere(place.url)) avoidProxies(new URL(place.url).hostname);
  }

  get url(): string {
    return this.#place.url;
  }

  /** The JSON of an answer. The caller says what it is, by schemas.ts. */
  async ask<T>(path: string, ask: Ask = {}): Promise<T | Refusal> {
    const reply = await this.#send(path, ask, AbortSignal.timeout(ANSWER_MS));
    if (reply instanceof Refusal) return reply;
    try {
      // The gateway checks what it says against the schema that the type is of.
      return (await reply.json()) as T;
    } catch {
      return this.#stranger();
    }
  }

  /** What happens, until the signal or the gateway ends it. */
  async events(signal: AbortSignal): Promise<AsyncIterable<LiveEvent> | Refusal> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new DOMException('late', 'TimeoutError')), ANSWER_MS);
    const reply = await this.#send('/api/v1/events', {}, AbortSignal.any([signal, late.signal]));
    clearTimeout(timer);
    if (reply instanceof Refusal) return reply;
    if (reply.body === null || reply.headers.get('content-type') !== 'text/event-stream')
      return this.#stranger();
    return readEvents(reply.body);
  }

  async #send(path: string, ask: Ask, signal: AbortSignal): Promise<Response | Refusal> {
    const { url, token } = this.#place;
    try {
      const reply = await fetch(url + path, {
        method: ask.method ?? 'GET',
        headers: {
          authorization: `Bearer ${token}`,
          ...(ask.body !== undefined && { 'content-type': ask.type ?? 'application/json' }),
        },
        ...(ask.body !== undefined && { body: JSON.stringify(ask.body) }),
        redirect: 'manual',
        signal,
      });
      return reply.ok ? reply : await this.#refusal(reply);
    } catch (thrown) {
      return this.#unreachable(thrown);
    }
  }

  async #refusal(reply: Response): Promise<Refusal> {
    const { url, tokenFrom } = this.#place;
    const problem: unknown = await reply.json().catch(() => null);
    const code = fieldOf(problem, 'code');
    const detail = fieldOf(problem, 'detail');
    if (typeof code !== 'string' || typeof detail !== 'string') return this.#stranger();
    if (code === 'GW_ADMIN_TOKEN')
      return this.#refused(
        `the gateway at ${url} does not accept the token ${tokenFrom}: it has another one, in admin.token of its dataDir; say it with --token or SLUICE_ADMIN_TOKEN`,
        code,
      );
    const errors = fieldOf(problem, 'errors');
    const lines = (Array.isArray(errors) ? errors : []).map(
      (error: unknown) => `\n  ${String(fieldOf(error, 'key'))}: ${String(fieldOf(error, 'detail'))}`,
    );
    return new Refusal(detail.slice(0, 1).toLowerCase() + detail.slice(1) + lines.join(''), { code });
  }

  #unreachable(thrown: unknown): Refusal {
    const { url } = this.#place;
    const code = fieldOf(thrown, 'code') ?? fieldOf(fieldOf(thrown, 'cause'), 'code');
    const say = 'or say where its admin listener is with --admin';
    if (code === 'ECONNREFUSED' || code === 'ConnectionRefused')
      return this.#refused(
        `cannot reach a gateway at ${url}: nothing listens there; start one with \`sluice serve\`, ${say}`,
      );
    if (code === 'ENOTFOUND')
      return this.#refused(`cannot reach a gateway at ${url}: the host name is not known; ${say}`);
    if (fieldOf(thrown, 'name') === 'TimeoutError')
      return this.#refused(
        `cannot get an answer of ${url}: there was none for ${ANSWER_MS / 1000} s; see its log`,
      );
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return this.#refused(`cannot reach a gateway at ${url}: ${reason}; ${say}`);
  }

  #stranger(): Refusal {
    return this.#refused(
      `cannot use ${this.#place.url}: what answers there is not the admin listener of a Sluice gateway; say where that is with --admin (adminUrl of its log line \`ready\`)`,
    );
  }

  #refused(why: string, code = ''): Refusal {
    const { hint } = this.#place;
    return new Refusal(hint === '' ? why : `${why}\nnote: ${hint}`, { code });
  }
}

/** Bun's fetch goes by HTTP_PROXY even to this machine, with the token, unless it is told so by these variables: no option of a request does. */
function avoidProxies(host: string): void {
  for (const name of ['NO_PROXY', 'no_proxy']) {
    const before = process.env[name] ?? '';
    process.env[name] = before === '' ? host : `${before},${host}`;
  }
}
