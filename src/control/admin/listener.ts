// The admin listener: takes requests from the start, loads the API behind them at the first one.
// Called by cli/lifecycle.ts. Promises: a listener and a token are all that it costs until somebody looks; what goes wrong before the API has a request is problem
// details as well.
import { GatewayError, toGatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Inbound, Listener, Reply, Runtime } from '../../runtime/runtime.ts';
import type { Governed } from './governed.ts';
import type { GuardSettings } from './guard.ts';
import { type Answer, answerOnWeb, type Body, bodyOf } from './web.ts';

/** Where to listen, and whom to let in. */
export interface AdminOptions {
  readonly runtime: Runtime;
  readonly host: string;
  readonly port: number;
  readonly guard: GuardSettings;
}

/** The admin listener of one gateway. */
export class AdminDoor {
  readonly #listener: Listener;
  readonly #guard: GuardSettings;
  /** Of the listener, without a path. */
  readonly url: string;
  #governed: Governed | null = null;
  #answer: Promise<Answer> | null = null;

  /** Listens; throws GW_RUNTIME_LISTEN when the address cannot be had. */
  constructor({ runtime, host, port, guard }: AdminOptions) {
    this.#guard = guard;
    this.#listener = runtime.listen(
      {
        transport: 'uwebsockets',
        ...{ host, port, reusePort: false },
        ...{ tls: null, http2: false, http3: false },
        bodyBytesMax: LIMITS.adminBodyBytesMax,
        idleTimeoutMs: LIMITS.adminIdleMs,
      },
      (inbound) => this.#handle(inbound),
    );
    const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
    this.url = `http://${name.includes(':') ? `[${name}]` : name}:${this.#listener.port}`;
  }

  /** The gateway is there: from now on there is something to answer. */
  open(governed: Governed): void {
    this.#governed = governed;
  }

  /** Closes everything at once: event streams would not end by themselves. */
  stop(): void {
    this.#listener.stop();
  }

  #handle(inbound: Inbound): Promise<Reply> {
    const { path } = inbound;
    // In this very turn: later the body may be gone.
    const body = bodyOf(inbound);
    return this.#reply(inbound, body).catch(async (thrown: unknown) => {
      const { problemResponse } = await import('./problem.ts');
      const error = toGatewayError(thrown);
      if (error.code === 'GW_BASE_INTERNAL') {
        // What could not be loaded is tried again at the next request.
        this.#answer = null;
        this.#governed?.log.error('the admin API met a fault', { path, fault: faultText(thrown) });
      }
      const response = problemResponse(error, path);
      const headers = Object.fromEntries(response.headers);
      return { status: response.status, headers, body: new Uint8Array(await response.arrayBuffer()) };
    });
  }

  async #reply(inbound: Inbound, body: Body): Promise<Reply> {
    const governed = this.#governed;
    if (governed === null) throw new GatewayError('GW_ADMIN_STARTING');
    this.#answer ??= import('./app.ts').then(({ createApp }) =>
      createApp({ governed, adminUrl: this.url, guard: this.#guard }),
    );
    const answer = await this.#answer;
    return answerOnWeb(inbound, body, answer);
  }
}

function faultText(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}
