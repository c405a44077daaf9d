// The admin API from the page: one function for every kind of request, with its errors in words.
// Called by views. Promises: only its own origin is asked; a refusal is an ApiFault with what the gateway said; 401 tells the page that it must log in.

/** A refusal of the admin API, or a gateway that cannot be reached. */
export class ApiFault extends Error {
  /** HTTP status; 0 when nothing answered. */
  readonly status: number;
  /** What is wrong with single keys of what was sent. */
  readonly errors: readonly { readonly key: string; readonly detail: string }[];

  constructor(status: number, message: string, errors: ApiFault['errors'] = []) {
    super(message);
    this.name = 'ApiFault';
    this.status = status;
    this.errors = errors;
  }
}

/** How a request differs from a plain GET. */
export interface Ask {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is, under contentType. */
  readonly text?: string;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Also a refusal is given back, unless it is the admin API's own: what a server answered is for the caller to read. */
  readonly isRelayed?: boolean;
}

let onLoggedOut: () => void = () => {};

/** Sets what happens when the gateway no longer knows this page. */
export function whenLoggedOut(callback: () => void): void {
  onLoggedOut = callback;
}

interface Problem {
  readonly title?: string;
  readonly detail?: string;
  readonly errors?: readonly { readonly key: string; readonly detail: string }[];
}

async function faultOf(response: Response): Promise<ApiFault> {
  const text = await response.text().catch(() => '');
  let problem: Problem = {};
  try {
    const parsed: unknown = JSON.parse(text);
    // what is not there reads as undefined, which every use below allows
    if (typeof parsed === 'object' && parsed !== null) problem = parsed as Problem;
  } catch {
    // no problem details: the status must do
  }
  const words = problem.detail ?? problem.title ?? `The gateway answered ${response.status}`;
  return new ApiFault(response.status, words, problem.errors ?? []);
}

/** Sends a request to /api/v1 and gives the reply, whatever is in it. Throws ApiFault. */
export async function send(path: string, how: Ask = {}): Promise<Response> {
  const headers: Record<string, string> = { 'x-sluice-csrf': '1', ...how.headers };
  if (how.body !== undefined) headers['content-type'] ??= 'application/json';
  if (how.contentType !== undefined) headers['content-type'] = how.contentType;
  const body = how.body === undefined ? (how.text ?? null) : JSON.stringify(how.body);
  let response: Response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method: how.method ?? 'GET',
      headers,
      body,
      credentials: 'same-origin',
      cache: 'no-store',
      signal: how.signal ?? null,
    });
  } catch (thrown) {
    // who gave up knows that; everything else is the way to the gateway
    if (how.signal?.aborted === true) throw thrown;
    // one class for all that goes wrong between page and gateway
    throw new ApiFault(0, 'Cannot reach the gateway: it may be restarting');
  }
  if (response.ok) return response;
  const isOurs = (response.headers.get('content-type') ?? '').startsWith('application/problem+json');
  if (how.isRelayed === true && !isOurs) return response;
  if (response.status === 401) onLoggedOut();
  // one class for all that goes wrong between page and gateway
  throw await faultOf(response);
}

/** Sends a request to /api/v1 and gives the JSON of the reply; null when it has none. Throws ApiFault. */
export async function ask<Answer>(path: string, how: Ask = {}): Promise<Answer> {
  const response = await send(path, how);
  const text = await response.text();
  // the shape is what the OpenAPI document of the gateway promises for this path
  return (text === '' ? null : JSON.parse(text)) as Answer;
}

/** Path parts and a query, put together with the right escapes. */
export function pathOf(
  parts: readonly string[],
  query: Readonly<Record<string, string | null>> = {},
): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query))
    if (value !== null && value !== '') search.set(key, value);
  const tail = search.toString();
  return `/${parts.map(encodeURIComponent).join('/')}${tail === '' ? '' : `?${tail}`}`;
}

/** What to say of something that was thrown. */
export function wordsOf(thrown: unknown): string {
  if (thrown instanceof ApiFault) {
    const parts = thrown.errors.map(({ key, detail }) => (key === '' ? detail : `${key}: ${detail}`));
    return parts.length === 0 ? thrown.message : `${thrown.message} (${parts.join('; ')})`;
  }
  return thrown instanceof Error ? thrown.message : String(thrown);
}
