// What the admin API answers, as the dashboard reads it.
// Read by views, parts and model. Promises: the types of the very schemas that the API checks and documents itself with; nothing of them is in the bundle.
import type { z } from '@hono/zod-openapi';
import type * as schemas from '../../control/admin/schemas.ts';

/** A value as JSON has it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** GET /status. */
export type Status = z.infer<typeof schemas.Status>;
/** A server as /servers lists it. */
export type Server = z.infer<typeof schemas.Server>;
/** One place of a server. */
export type Replica = z.infer<typeof schemas.Replica>;
/** What a change would do to the running gateway. */
export type Plan = z.infer<typeof schemas.Plan>;
/** An address that clients use. */
export type Endpoint = z.infer<typeof schemas.Endpoint>;
/** A tool of a server. */
export type Tool = z.infer<typeof schemas.Tool>;
/** A legacy session. */
export type Session = z.infer<typeof schemas.Session>;
/** A call that waits for its client's answers. */
export type Parked = z.infer<typeof schemas.Parked>;
/** Counts of a server's cache. */
export type CacheCounts = z.infer<typeof schemas.Cache>;
/** One exchange of the journal. */
export type Exchange = z.infer<typeof schemas.Exchange>;
/** Where the time of an exchange went. */
export type Phases = NonNullable<Exchange['phases']>;
/** One change that somebody made. */
export type AuditEvent = z.infer<typeof schemas.AuditEvent>;
/** `event: overview`, each second. */
export type OverviewPoint = z.infer<typeof schemas.Overview>;
