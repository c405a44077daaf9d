// Asks servers for their tools, by way of the gateway's own data listener, and keeps the answers for a moment.
// Called by tools.ts. Promises: each server is asked for all pages within a bounded time and size, a few servers at once; answers are kept for some seconds, and until
// the configuration changes; nothing is thrown for a server that fails.
import { z } from '@hono/zod-openapi';
import { concat, decode, encode } from '../../base/bytes.ts';
import { GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { EventReader } from '../../mcp/sse.ts';
import { portableScanner } from '../../scan/portable.ts';
import type { Governed } from './governed.ts';
import type { Loopback } from './loopback.ts';

const MODERN = '2026-07-28';
const META = Object.freeze({
  'io.modelcontextprotocol/protocolVersion': MODERN,
  'io.modelcontextprotocol/clientCapabilities': {},
});
/** Of JSON-RPC: a server that knows no tools has none. */
const METHOD_NOT_FOUND = -32_601;

/** One element of tools/list, as far as it is looked at. */
const Element = z.looseObject({
  name: z.string(),
  title: z.string().optional().catch(undefined),
  description: z.string().optional().catch(undefined),
  inputSchema: z.unknown(),
  annotations: z.record(z.string(), z.unknown()).optional().catch(undefined),
});
const Page = z.object({
  result: z.object({ tools: z.array(z.unknown()), nextCursor: z.string().optional() }),
});
const Failure = z.object({ error: z.object({ code: z.number(), message: z.string() }) });

/** What one server answered. */
export interface Listed {
  readonly epoch: number;
  readonly atMs: number;
  readonly tools: readonly z.output<typeof Element>[];
  /** Why there are none; null: there are, or it has none. */
  readonly fault: string | null;
}

/** Keeps what servers answered, for a moment. */
export class ToolShelf {
  readonly #governed: Governed;
  readonly #loopback: Loopback;
  readonly #kept = new Map<string, Promise<Listed>>();

  constructor(governed: Governed, loopback: Loopback) {
    this.#governed = governed;
    this.#loopback = loopback;
  }

  /** The tools of servers, in their order. */
  async all(servers: readonly string[]): Promise<Map<string, Listed>> {
    const listed = new Map<string, Listed>();
    for (const name of this.#kept.keys()) if (!servers.includes(name)) this.#kept.delete(name);
    const waiting = [...servers];
    const work = async (): Promise<void> => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift())
        listed.set(name, await this.#one(name));
    };
    await Promise.all(Array.from({ length: LIMITS.adminToolsAtOnce }, work));
    return new Map(
      servers.flatMap((name) => {
        const one = listed.get(name);
        return one === undefined ? [] : [[name, one] as const];
      }),
    );
  }

  async #one(server: string): Promise<Listed> {
    const { clock } = this.#governed.runtime;
    const { epoch } = this.#governed.snapshot();
    const kept = await this.#kept.get(server);
    if (kept?.epoch === epoch && clock.now() - kept.atMs < LIMITS.adminToolsKeptMs) return kept;
    const asked = this.#ask(server, epoch);
    this.#kept.set(server, asked);
    return asked;
  }

  async #ask(server: string, epoch: number): Promise<Listed> {
    const { clock } = this.#governed.runtime;
    const late = new AbortController();
    const timer = clock.after(LIMITS.adminToolsMs, () => late.abort());
    const tools: z.output<typeof Element>[] = [];
    const listed = (fault: string | null): Listed => ({ epoch, atMs: clock.now(), tools, fault });
    try {
      let bytesLeft = LIMITS.adminToolsBytesMax;
      let cursor: string | undefined;
      for (let page = 0; page < LIMITS.listPagesMax; page++) {
        const bytes = await this.#page(server, { cursor, bytesMax: bytesLeft, signal: late.signal });
        bytesLeft -= bytes.length;
        const message: unknown = JSON.parse(decode(bytes));
        const failure = Failure.safeParse(message);
        if (failure.success) {
          const { code, message: words } = failure.data.error;
          return listed(code === METHOD_NOT_FOUND ? null : words);
        }
        const { result } = Page.parse(message);
        tools.push(...result.tools.flatMap((tool) => Element.safeParse(tool).data ?? []));
        cursor = result.nextCursor;
        if (cursor === undefined) return listed(null);
      }
      return listed('it has more pages than are followed');
    } catch (thrown) {
      if (late.signal.aborted) return listed(`it did not answer within ${LIMITS.adminToolsMs} ms`);
      return listed(thrown instanceof GatewayError ? thrown.message : 'its answer is no list of tools');
    } finally {
      clock.cancel(timer);
    }
  }

  /** The JSON-RPC response to one question. */
  async #page(
    server: string,
    { cursor, bytesMax, signal }: { cursor: string | undefined; bytesMax: number; signal: AbortSignal },
  ): Promise<Uint8Array> {
    const params = { _meta: META, ...(cursor !== undefined && { cursor }) };
    const body = encode(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params }));
    const headers = ['mcp-protocol-version', MODERN, 'mcp-method', 'tools/list'];
    const path = `/mcp/${server}`;
    const response = await this.#loopback.send({ path, body, headers, session: null, timeoutMs: 0 }, signal);
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
    const events = new EventReader(portableScanner());
    const parts: Uint8Array[] = [];
    let bytesLeft = bytesMax;
    for await (const bytes of response.body ?? []) {
      bytesLeft -= bytes.length;
      if (bytesLeft < 0)
        throw new GatewayError('GW_UPSTREAM_BODY_SIZE', `at most ${LIMITS.adminToolsBytesMax} bytes`);
      if (!isStream) parts.push(bytes);
      else {
        events.push(bytes, ({ data }) => {
          if (!isNotification(data)) parts.push(data.slice());
        });
        // The answer is the last event: leaving the loop lets go of the stream.
        if (parts.length > 0) break;
      }
    }
    return concat(parts);
  }
}

/** True for what may come before the answer. */
function isNotification(data: Uint8Array): boolean {
  if (data.length === 0) return true;
  const message: unknown = JSON.parse(decode(data));
  return message !== null && typeof message === 'object' && 'method' in message;
}
