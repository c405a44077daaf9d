// JSON-RPC and event streams, loosely: what clients and servers of the simulation say to each other.
// Called by the other files of test/sim. Promises: what is no message comes out as null; nothing is thrown.

/** A message, whatever is in it. */
export interface Rpc {
  readonly jsonrpc?: string;
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: {
    readonly code?: number;
    readonly message?: string;
    readonly data?: Readonly<Record<string, unknown>>;
  };
}

/** Parses one message; null when it is none. */
export function parseRpc(text: string): Rpc | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Rpc) : null;
  } catch {
    return null;
  }
}

/** An event of a stream. */
export function eventText(message: unknown): string {
  return `event: message\ndata: ${typeof message === 'string' ? message : JSON.stringify(message)}\n\n`;
}

/** Takes the messages out of an event stream, whatever its pieces. */
export class EventReader {
  /** Pieces of an event that is not whole, and the last character of all that came. */
  #pieces: string[] = [];
  #last = '';

  /** The messages that are whole with this piece; what is no message is left out. */
  push(text: string): readonly Rpc[] {
    const isEnd = text.includes('\n\n') || (this.#last === '\n' && text.startsWith('\n'));
    this.#pieces.push(text);
    if (text !== '') this.#last = text.slice(-1);
    if (!isEnd) return [];
    const events = this.#pieces.join('').split('\n\n');
    this.#pieces = [events.pop() ?? ''];
    const messages: Rpc[] = [];
    for (const event of events)
      for (const line of event.split('\n')) {
        const message = line.startsWith('data: ') ? parseRpc(line.slice(6)) : null;
        if (message !== null) messages.push(message);
      }
    return messages;
  }
}

/** Keys of `_meta`. */
export const META = {
  version: 'io.modelcontextprotocol/protocolVersion',
  client: 'io.modelcontextprotocol/clientInfo',
  capabilities: 'io.modelcontextprotocol/clientCapabilities',
  server: 'io.modelcontextprotocol/serverInfo',
  subscription: 'io.modelcontextprotocol/subscriptionId',
} as const;

/** A member of an object that is an object; empty when it is none. */
export function part(value: unknown, key: string): Readonly<Record<string, unknown>> {
  const inner = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : null;
  return typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>) : {};
}

export const MODERN = '2026-07-28';
export const LEGACY = '2025-11-25';

const TOKEN = /tk\d{4}[a-z]{4}/g;
const TOKEN_CHARS = 10;

/** Finds tokens in a text that comes in pieces. */
export class TokenWatch {
  #tail = '';

  push(text: string): readonly string[] {
    const all = `${this.#tail}${text}`;
    // One that was found whole is not found again: it is longer than what is kept.
    this.#tail = all.slice(-(TOKEN_CHARS - 1));
    return tokensIn(all);
  }
}

/** Every token of a call in a text. */
export function tokensIn(text: string): readonly string[] {
  return text.match(TOKEN) ?? [];
}
