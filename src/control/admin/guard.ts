// Who may talk to the admin listener: by Host, by Origin and Sec-Fetch-Site, by token or cookie.
// Called by app.ts before every operation. Promises: tokens are compared in a time that tells nothing of them; wrong ones are answered ever more slowly, and no more
// than a few at a time; a page of another site gets nothing, whatever name it calls this host by (DNS rebinding).
import { GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Clock } from '../../runtime/runtime.ts';

/** What a guard lets in. */
export interface GuardSettings {
  readonly token: string;
  /** Host names without ports, lower case; null = any. */
  readonly allowedHosts: readonly string[] | null;
  /** Origins besides that of the request's own host, lower case. */
  readonly allowedOrigins: readonly string[];
}

/** The name in a Host header, lower case, without port; null when it is malformed. */
function nameIn(host: string): string | null {
  return /^(\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::\d{1,5})?$/.exec(host)?.[1] ?? null;
}

/** What is wrong with where a request is from, or null. `isPage`: it is for a page that holds no data, which may be navigated to from anywhere. */
export function siteFault(headers: Headers, settings: GuardSettings, isPage: boolean): GatewayError | null {
  const host = headers.get('host')?.toLowerCase() ?? '';
  const name = nameIn(host);
  if (name === null) return new GatewayError('GW_SERVER_HOST', 'it is missing, repeated or malformed');
  if (settings.allowedHosts?.includes(name) === false)
    return new GatewayError(
      'GW_SERVER_HOST',
      `${JSON.stringify(name.slice(0, 120))} is not in admin.allowedHosts`,
    );
  const origin = headers.get('origin')?.toLowerCase();
  if (
    origin !== undefined &&
    origin.replace(/^https?:\/\//, '') !== host &&
    !settings.allowedOrigins.includes(origin)
  )
    return new GatewayError(
      'GW_ADMIN_SITE',
      `its Origin ${JSON.stringify(origin.slice(0, 120))} is not this host's`,
    );
  const site = headers.get('sec-fetch-site') ?? 'none';
  if (site === 'same-origin' || site === 'none') return null;
  if (isPage && origin === undefined && headers.get('sec-fetch-mode') === 'navigate') return null;
  return new GatewayError('GW_ADMIN_SITE', `its Sec-Fetch-Site is ${JSON.stringify(site.slice(0, 40))}`);
}

/** True when two texts are the same; takes a time that depends on the length of `given` alone. */
export function isSameSecret(given: string, wanted: string): boolean {
  let difference = given.length ^ wanted.length;
  for (let at = 0; at < given.length; at++)
    difference |= given.charCodeAt(at) ^ wanted.charCodeAt(at % Math.max(1, wanted.length));
  return difference === 0;
}

/** The token of an Authorization header; null when it has none of the Bearer scheme (RFC 6750). */
export function bearerIn(headers: Headers): string | null {
  return /^bearer +([^\s]+) *$/i.exec(headers.get('authorization') ?? '')?.[1] ?? null;
}

/** Makes guessing slow. */
export class Slowdown {
  readonly #clock: Clock;
  #wrong = 0;
  #waiting = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A right one came: whoever mistyped before is forgiven. */
  right(): void {
    this.#wrong = 0;
  }

  /** A wrong one came: resolves, after a while, with what to answer. */
  async wrong(): Promise<GatewayError> {
    const beyond = ++this.#wrong - LIMITS.adminTriesFree;
    if (beyond <= 0) return new GatewayError('GW_ADMIN_TOKEN', 'this one is wrong');
    if (this.#waiting >= LIMITS.adminTriesMax) return new GatewayError('GW_ADMIN_TRIES');
    this.#waiting++;
    const ms = Math.min(LIMITS.adminTryLastMs, LIMITS.adminTryFirstMs * 2 ** Math.min(20, beyond - 1));
    await new Promise<void>((resolve) => this.#clock.after(ms, resolve));
    this.#waiting--;
    return new GatewayError('GW_ADMIN_TOKEN', 'this one is wrong');
  }
}
