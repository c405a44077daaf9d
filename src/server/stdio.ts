// The front over stdio: one client, one JSON-RPC message a line, for hosts that start their servers as child processes.
// Called by worker.ts for `sluice stdio`. Promises: each line goes the way of any message, and messages go out one a line; a line that is none costs one
// error; what runs when the client closes its end is still answered, within a bound. Source: MCP, stdio transport, both eras.
import { concat, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { emptyHeaders } from '../exchange/client-headers.ts';
import type { Exchange } from '../exchange.ts';
import { errorMessage } from '../mcp/errors.ts';
import { flatten } from '../mcp/sse.ts';
import type { Log } from '../observe/log.ts';
import type { Clock } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import type { EndpointSpec, Snapshot } from '../snapshot.ts';
import { MessageFront } from './message-front.ts';
import type { Recorder } from './record.ts';
import { ClientLines } from './stdio-lines.ts';

/** What the stdio front needs. */
export interface StdioFrontOptions {
  readonly snapshot: Snapshot;
  readonly endpoint: EndpointSpec;
  /** Admits an exchange whose headers are complete, and runs it. */
  readonly serve: (exchange: Exchange, body: Uint8Array) => void;
  readonly scanner: Scanner;
  readonly clock: Clock;
  readonly log: Log;
  readonly newId: () => string;
  /** Where exchanges that are over are recorded; left out: nowhere. */
  readonly recorder?: Recorder;
  /** Writes bytes to the client. */
  readonly write: (bytes: Uint8Array) => void;
}

const NEWLINE = encode('\n');

/** Serves one client that writes lines. */
export class StdioFront {
  readonly #options: StdioFrontOptions;
  readonly #lines: ClientLines;
  readonly #messages: MessageFront;

  constructor(options: StdioFrontOptions) {
    this.#options = options;
    const { recorder } = options;
    const { bodyBytesMax } = options.snapshot.front;
    this.#messages = new MessageFront({
      ...options,
      principal: '',
      headers: emptyHeaders(),
      // Replies tell all that matters here: exchanges are let go of when their answer is out.
      owner: { onFinish: (exchange) => recorder?.record(exchange) },
      send: (message) => this.#send(message),
    });
    this.#lines = new ClientLines(bodyBytesMax, {
      onLine: (line) => {
        const fault = this.#messages.take(line);
        if (fault !== null) this.#send(errorMessage(null, fault));
      },
      onTooLong: () => {
        const error = new GatewayError('GW_SERVER_BODY_SIZE', `a line may have ${bodyBytesMax} bytes`);
        this.#send(errorMessage(null, error));
      },
    });
  }

  /** Takes bytes of the client as they come. */
  push(bytes: Uint8Array): void {
    this.#lines.push(bytes);
  }

  /** The client closed its end: running calls finish within the bound, then the session ends. */
  async close(withinMs: number): Promise<void> {
    const { clock } = this.#options;
    await new Promise<void>((resolve) => {
      const timer = clock.after(withinMs, resolve);
      this.#messages.whenIdle(() => {
        clock.cancel(timer);
        resolve();
      });
    });
    await this.#messages.end();
  }

  /** Waits while the reader is slow: there is always room. */
  #send(message: Uint8Array): boolean {
    this.#options.write(concat([flatten(message), NEWLINE]));
    return true;
  }
}
