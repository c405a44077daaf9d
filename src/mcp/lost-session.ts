// Whether a legacy server refused a message because it does not know the session that it was sent in: then nothing was executed, and the session may be begun anew.
// And what a refused event stream means.
// Called by everyone who keeps a session at a server: bridge, upstream, server and proxy. Promises: pure; what says something about the message itself is no loss.
// Source: MCP 2025-11-25, transports (404); what servers in the field answer instead.
import { decode } from '../base/bytes.ts';
import { RPC } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { isRecord } from './envelope.ts';

/** What a refusal says: the error of a JSON-RPC message, whatever else is wrong with it (many servers write `"id":null`), or plain text. */
export interface RefusalWords {
  /** Null without a JSON-RPC error. */
  readonly code: number | null;
  readonly words: string;
}

const WORDLESS: RefusalWords = Object.freeze({ code: null, words: '' });
/** Refusals are short; of a longer text the beginning tells. */
const WORDS_MAX = 1_024;

/** What an error writes about a session, besides the code, which is anybody's: a server that was started anew waits for its first initialize. */
const ABOUT_SESSION = /session|initiali[sz]/i;
/** The same without a code: servers of HTTP+SSE call it by other names. */
const IN_PLAIN_WORDS = /session|transport|connection/i;

/** Reads the body of a refusal; a page for people to read says nothing. */
export function refusalWords(body: Uint8Array): RefusalWords {
  if (body.length === 0 || body.length > LIMITS.initializeBytesMax) return WORDLESS;
  const text = decode(body).trim();
  if (text.startsWith('<')) return WORDLESS;
  const error = errorIn(text);
  if (error === null) return { code: null, words: text.slice(0, WORDS_MAX) };
  const { code, message } = error;
  return { code: typeof code === 'number' ? code : null, words: typeof message === 'string' ? message : '' };
}

function errorIn(text: string): Record<string, unknown> | null {
  if (!text.startsWith('{')) return null;
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) && isRecord(value.error) ? value.error : null;
  } catch {
    return null;
  }
}

/** True when the body of such a reply decides whether the session is lost, so that it is to be read before anything is answered. */
export function mayBeLost(status: number, media: string): boolean {
  return status === 404 || status === 410 || (status === 400 && media !== 'event-stream');
}

/** True when the answer to a message that was sent in a session says that the server does not know the session. */
export function isLostSession(status: number, body: Uint8Array): boolean {
  if (status === 410) return true;
  if (status !== 404 && status !== 400) return false;
  const { code, words } = refusalWords(body);
  // What bears a code of its own speaks of the method, whatever the status.
  if (status === 404) return code !== RPC.methodNotFound;
  // Several servers answer so instead of with 404. Codes below have a meaning of their own: that of the message.
  if (code !== null) return code >= RPC.sessionUnknown && ABOUT_SESSION.test(words);
  return IN_PLAIN_WORDS.test(words);
}

/** True when a session's event stream that was open before is refused so that the session must be lost: of a first one, it may mean that there are no streams. */
export function isLostStream(status: number): boolean {
  return mayBeLost(status, 'none');
}

/** True when a server that refuses an event stream may give one later: it takes an older one for open still (409), has too much to do, or is ill. */
export function mayStreamLater(status: number): boolean {
  return status === 409 || status === 429 || (status >= 500 && status !== 501);
}
