// What one session wants to hear of a child that it shares: log messages from a level on, news of resources.
// Called by the stdio-together files. Promises: pure; severities are those of RFC 5424, as MCP has them.
import { splice } from '../base/bytes.ts';
import { readString, stringMember } from '../mcp/json.ts';
import { METHOD } from '../mcp/protocol.ts';
import { ENVELOPE } from '../scan/contract.ts';
import { isMethod, type Message, place } from './stdio-message.ts';

const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'];
/** More severe than any: nobody wants anything. */
export const NO_LEVEL = LEVELS.length;
/** What a session hears that never said what it wants. */
const USUAL_LEVEL = LEVELS.indexOf('info');

/** Severity of params.level, the more the graver; -1 when it is none that MCP knows. */
export function levelIn(message: Uint8Array, envelope: Int32Array): number {
  const params = place(envelope, ENVELOPE.params);
  const text = params < 0 || message[params] !== 0x7b ? null : stringMember(message, params, 'level');
  return text === null ? -1 : LEVELS.indexOf(text);
}

/** The level's name. */
export function levelName(level: number): string {
  return LEVELS[level] ?? 'emergency';
}

/** params.uri as text, null when there is none. */
export function uriIn(message: Uint8Array, envelope: Int32Array): string | null {
  const start = place(envelope, ENVELOPE.uri);
  return start < 0 ? null : readString(message, start, place(envelope, ENVELOPE.uri + 1));
}

/** The same of a request as it goes out: on an endpoint of several servers the client's URI bears the server's name, which the server must not see. */
function sentUriIn({ body, envelope, edits }: Message): string | null {
  const start = place(envelope, ENVELOPE.uri);
  const end = place(envelope, ENVELOPE.uri + 1);
  const inside = edits.filter((edit) => edit.start >= start && edit.end <= end);
  if (start < 0 || inside.length === 0) return uriIn(body, envelope);
  const moved = inside.map((edit) => ({ ...edit, start: edit.start - start, end: edit.end - start }));
  const sent = splice(body.subarray(start, end), moved);
  return readString(sent, 0, sent.length);
}

/** What the other sessions have asked the server for already. */
export interface OthersWishes {
  /** True when the server was asked for log messages of this level. */
  isTold(level: number): boolean;
  /** It has agreed to send them. */
  told(level: number): void;
  /** True when another session is subscribed to the resource. */
  holds(uri: string): boolean;
}

const NO_CHANGE = (): void => undefined;

/** One session's wishes. */
export class Wishes {
  /** NO_LEVEL until it says one. */
  level = NO_LEVEL;
  /** Resources that it subscribed to. */
  readonly uris = new Set<string>();
  readonly #others: OthersWishes;

  constructor(others: OthersWishes) {
    this.#others = others;
  }

  /** True when it wants log messages of this severity; what MCP does not know passes. */
  wantsLog(level: number): boolean {
    return level < 0 || level >= (this.level === NO_LEVEL ? USUAL_LEVEL : this.level);
  }

  /** True when it subscribed to the resource, or to one that this is a part of (2025-11-25 §resources). */
  wantsNewsOf(uri: string): boolean {
    if (this.uris.has(uri)) return true;
    for (const held of this.uris)
      if (uri.startsWith(held) && /^[/?#]/.test(uri.slice(held.length))) return true;
    return false;
  }

  /** Takes a request of the client: what the server's consent to it changes, or null when the server need not be asked, for another session's sake. */
  take(message: Message): (() => void) | null {
    const { body, envelope } = message;
    if (isMethod(message, METHOD.setLevel)) return this.#takeLevel(levelIn(body, envelope));
    const uri = sentUriIn(message);
    if (uri === null) return NO_CHANGE;
    if (isMethod(message, METHOD.subscribe)) {
      if (!this.#others.holds(uri)) return () => this.uris.add(uri);
      this.uris.add(uri);
      return null;
    }
    if (!isMethod(message, METHOD.unsubscribe)) return NO_CHANGE;
    this.uris.delete(uri);
    return this.#others.holds(uri) ? null : NO_CHANGE;
  }

  #takeLevel(level: number): (() => void) | null {
    if (level < 0) return NO_CHANGE;
    const agreed = (): void => {
      this.level = level;
      this.#others.told(level);
    };
    if (!this.#others.isTold(level)) return agreed;
    agreed();
    return null;
  }
}
