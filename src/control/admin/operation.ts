// What every operation of the admin API is made with: the gateway, who asks, and the forms that many of them share.
// Called by app.ts and the routes. Promises: types only, and small pieces of schemas; no state.
import { type OpenAPIHono, z } from '@hono/zod-openapi';
import { GatewayError } from '../../base/errors.ts';
import { isoTime } from '../../observe/fields.ts';
import type { Changed, Imported, Refusal } from '../registry/registry.ts';
import type { Governed } from './governed.ts';
import { KeyedError } from './problem.ts';

/** What hono knows of a request besides itself. */
export interface AdminEnv {
  readonly Bindings: {
    /** Address of the client. */
    readonly peer: string;
  };
  readonly Variables: {
    /** Who asks, for the audit. */
    actor: string;
  };
}

/** The application that operations are added to. */
export type AdminApp = OpenAPIHono<AdminEnv>;

/** What operations are about. */
export interface Surroundings {
  readonly governed: Governed;
  /** Of the admin listener, without a path. */
  readonly adminUrl: string;
}

/** A successful answer in JSON, for a route's description. */
export function answers<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { 'application/json': { schema } } };
}

/** An answer without a body. */
export function emptyAnswer(description: string) {
  return { description };
}

/** Query of changes: with `plan=1` nothing is changed. */
export const planQuery = z.strictObject({
  plan: z.enum(['0', '1']).optional().openapi({ description: '1: only says what would change.' }),
});

/** Path of one server. */
export const serverPath = z.strictObject({ name: z.string().min(1).max(64) });

/** What was done, counted. */
export const Done = z.strictObject({ done: z.number().int().nonnegative() }).openapi('Done');

/** A time of the wall clock as the API writes it, or null. */
export function isoTimeOrNull(wallMs: number | null): string | null {
  return wallMs === null ? null : isoTime(wallMs);
}

/** What the registry did; throws what it refused. */
export function accepted<T extends Changed | Imported>(outcome: T | Refusal): T {
  if (outcome.ok) return outcome;
  // A GatewayError that names keys.
  throw new KeyedError(outcome.code, outcome.detail, outcome.problems);
}

/** Refuses what names something that is not there. */
export function unknown(what: string, name: string): GatewayError {
  return new GatewayError('GW_ADMIN_UNKNOWN', `no ${what} is called ${JSON.stringify(name.slice(0, 120))}`);
}
