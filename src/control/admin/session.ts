// Logging in with the token and out again: a signed cookie that a browser keeps and no script can read.
// Called by app.ts. Promises: the cookie outlives a restart and dies with the token that signed it; one that was logged out opens nothing any more; what a cookie
// alone lets in cannot change anything without a header that pages of other sites cannot send.
import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { deleteCookie, getSignedCookie, setSignedCookie } from 'hono/cookie';
import { GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import { isSameSecret, type Slowdown } from './guard.ts';
import { type AdminApp, type AdminEnv, emptyAnswer } from './operation.ts';
import { refusals } from './problem.ts';

/** Name of the cookie. */
const COOKIE = 'sluice_admin';
const NONCE_BYTES = 16;
/** Header that a change by cookie must carry. */
const CSRF_HEADER = 'x-sluice-csrf';

const login = createRoute({
  method: 'post',
  path: '/api/v1/login',
  tags: ['session'],
  security: [],
  summary: 'Takes the token and gives a cookie',
  request: {
    body: {
      required: true,
      content: { 'application/json': { schema: z.strictObject({ token: z.string().max(512) }) } },
    },
  },
  responses: { 204: emptyAnswer('The cookie is set.'), ...refusals('GW_SERVER_BODY_SIZE') },
});

const logout = createRoute({
  method: 'post',
  path: '/api/v1/logout',
  tags: ['session'],
  summary: 'Ends what the cookie stands for',
  responses: { 204: emptyAnswer('It is over.'), ...refusals() },
});

/** The sessions of browsers. */
export class BrowserSessions {
  readonly #runtime: Pick<Runtime, 'clock' | 'random'>;
  readonly #token: string;
  /** Nonces of cookies that were logged out, oldest first. */
  readonly #ended = new Set<string>();

  constructor(runtime: Pick<Runtime, 'clock' | 'random'>, token: string) {
    this.#runtime = runtime;
    this.#token = token;
  }

  /** True when the request has a cookie that counts. */
  async holds(c: Context<AdminEnv>): Promise<boolean> {
    const nonce = await this.#nonceOf(c);
    return nonce !== null && !this.#ended.has(nonce);
  }

  async begin(c: Context<AdminEnv>): Promise<void> {
    const { clock, random } = this.#runtime;
    const nonce = random.bytes(NONCE_BYTES).toHex();
    await setSignedCookie(c, COOKIE, `${Math.floor(clock.wall())}.${nonce}`, this.#token, {
      httpOnly: true,
      sameSite: 'Strict',
      path: '/',
      maxAge: LIMITS.adminSessionMs / 1000,
    });
  }

  async end(c: Context<AdminEnv>): Promise<void> {
    const nonce = await this.#nonceOf(c);
    deleteCookie(c, COOKIE, { path: '/' });
    if (nonce === null) return;
    this.#ended.add(nonce);
    if (this.#ended.size <= LIMITS.adminLogoutsMax) return;
    const [oldest = ''] = this.#ended;
    this.#ended.delete(oldest);
  }

  /** What tells a cookie from others; null when there is none that is signed and young enough. */
  async #nonceOf(c: Context<AdminEnv>): Promise<string | null> {
    const value = await getSignedCookie(c, this.#token, COOKIE);
    const [, madeAtMs = '', nonce = ''] = /^(\d{1,15})\.([0-9a-f]{32})$/.exec(value || '') ?? [];
    const ageMs = this.#runtime.clock.wall() - Number(madeAtMs);
    return nonce !== '' && ageMs < LIMITS.adminSessionMs ? nonce : null;
  }
}

/** Adds logging in and out. */
export function addSessions(
  app: AdminApp,
  {
    sessions,
    slowdown,
    token,
  }: { readonly sessions: BrowserSessions; readonly slowdown: Slowdown; readonly token: string },
): void {
  app.openapi(login, async (c) => {
    if (!isSameSecret(c.req.valid('json').token, token)) throw await slowdown.wrong();
    slowdown.right();
    await sessions.begin(c);
    return c.body(null, 204);
  });
  app.openapi(logout, async (c) => {
    await sessions.end(c);
    return c.body(null, 204);
  });
}

/** Refuses a change that a cookie alone asks for. */
export function checkCsrf(method: string, headers: Headers): void {
  if (method === 'GET' || method === 'HEAD' || headers.get(CSRF_HEADER) === '1') return;
  throw new GatewayError('GW_ADMIN_SITE', `a change by cookie needs the header ${CSRF_HEADER}: 1`);
}
