// Why the admin API refused something: GatewayErrors with what is wrong in single keys, and their form as problem details (RFC 9457).
// Called by the routes and by app.ts. Promises: status and code come from the table of base/errors.ts; an internal fault says nothing of its cause.
import type { z } from '@hono/zod-openapi';
import { ERRORS, type ErrorCode, GatewayError } from '../../base/errors.ts';
import { Problem } from './schemas.ts';

/** What is wrong with one key of a request. */
export interface KeyFault {
  readonly key: string;
  readonly detail: string;
}

/** A refusal that names keys. */
export class KeyedError extends GatewayError {
  readonly faults: readonly KeyFault[];

  constructor(code: ErrorCode, detail: string, faults: readonly KeyFault[]) {
    super(code, detail);
    this.faults = faults;
  }
}

/** Reason phrases (RFC 9110 §15) of the statuses that refusals have. */
const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  507: 'Insufficient Storage',
};

/** Media type of problem details. */
export const PROBLEM_TYPE = 'application/problem+json';

/** Headers that some refusals must have. */
const HEADERS: Partial<Readonly<Record<ErrorCode, readonly [string, string]>>> = {
  GW_ADMIN_TOKEN: ['www-authenticate', 'Bearer realm="sluice"'],
  GW_ADMIN_TRIES: ['retry-after', '2'],
  GW_ADMIN_STARTING: ['retry-after', '1'],
};

/** The response that tells of a refusal; `path` is the request's. */
export function problemResponse(error: GatewayError, path: string): Response {
  const { code, row, detail } = error;
  const body: z.output<typeof Problem> = {
    type: 'about:blank',
    title: TITLES[row.http] ?? 'Error',
    status: row.http,
    detail: detail === '' ? row.message : `${row.message}: ${detail}`,
    instance: path,
    code,
    ...(error instanceof KeyedError && { errors: [...error.faults] }),
  };
  const headers = new Headers({ 'content-type': PROBLEM_TYPE, 'cache-control': 'no-store' });
  const extra = HEADERS[code];
  if (extra !== undefined) headers.set(...extra);
  return new Response(JSON.stringify(body), { status: row.http, headers });
}

/** What every operation may be refused with, before it is looked at. */
const ALWAYS: readonly ErrorCode[] = [
  'GW_SERVER_HOST',
  'GW_ADMIN_SITE',
  'GW_ADMIN_TOKEN',
  'GW_ADMIN_TRIES',
  'GW_ADMIN_REQUEST',
  'GW_ADMIN_STARTING',
];

/** The part of a route's description that names its refusals, by status. */
export function refusals(...codes: readonly ErrorCode[]) {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of [...ALWAYS, ...codes]) {
    const { http } = ERRORS[code];
    byStatus.set(http, [...(byStatus.get(http) ?? []), code]);
  }
  const rows = [...byStatus].map(([status, same]) => [
    status,
    {
      description: same.map((code) => `${code}: ${ERRORS[code].message}`).join('. '),
      content: { [PROBLEM_TYPE]: { schema: Problem } },
    },
  ]);
  // Handlers throw refusals and never return them, so that their types need not know the statuses.
  return Object.fromEntries(rows) as Record<never, never>;
}
