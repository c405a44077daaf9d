// Clients that wait: sessions of the handshake revisions, each with its event stream open and nothing coming.
// Called by sessions.ts. Promises: a session is counted only when its stream was answered with 200; all of them go when close() is called;
// so many at a time that no server is asked for all at once.
import { dismiss, type Greeting, greet, Refusal } from '../../src/cli/bench/handshake.ts';

const WIDTH = 32;
const ANSWER_WITHIN_MS = 20_000;

/** Sessions that are open. */
export interface WaitingClients {
  readonly count: number;
  /** Opens more; throws when one cannot be opened. */
  open(more: number): Promise<void>;
  /** Ends streams and connections, and a few of the sessions, to see that they can be. */
  close(): Promise<void>;
}

interface Waiting {
  readonly greeting: Greeting;
  readonly socket: Bun.Socket<undefined>;
}

/** Clients of one endpoint. */
export function waitingClients(url: string): WaitingClients {
  const endpoint = { url: new URL(url), timeoutMs: ANSWER_WITHIN_MS };
  const open: Waiting[] = [];
  const openOne = async (): Promise<void> => {
    const greeting = await greet(endpoint, 'legacy', { client: '1', headers: [] });
    if (greeting instanceof Refusal) throw new Error(`${url}: ${greeting.why}`);
    open.push({ greeting, socket: await openStream(endpoint.url, greeting) });
  };
  return {
    get count() {
      return open.length;
    },
    async open(more) {
      let left = more;
      const walk = async (): Promise<void> => {
        while (left-- > 0) await openOne();
      };
      await Promise.all(Array.from({ length: Math.min(WIDTH, more) }, walk));
    },
    async close() {
      for (const { socket } of open) socket.terminate();
      for (const { greeting } of open.splice(0).slice(0, WIDTH)) await dismiss(endpoint, greeting);
    },
  };
}

/** Opens the stream on a connection of its own; resolves when the server has answered with 200. */
function openStream(url: URL, { session, speech }: Greeting): Promise<Bun.Socket<undefined>> {
  const head = [
    `GET ${url.pathname} HTTP/1.1`,
    `host: ${url.host}`,
    'accept: text/event-stream',
    `mcp-protocol-version: ${speech.version}`,
    ...(session === null ? [] : [`mcp-session-id: ${session}`]),
  ];
  return new Promise((resolve, reject) => {
    let said = '';
    const timer = setTimeout(
      () => reject(new Error(`${url.href}: no event stream in time`)),
      ANSWER_WITHIN_MS,
    );
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      act();
    };
    Bun.connect({
      hostname: url.hostname,
      port: Number(url.port),
      socket: {
        open(socket) {
          socket.write(`${head.join('\r\n')}\r\n\r\n`);
        },
        data(socket, bytes) {
          if (said.includes('\r\n')) return;
          said += bytes.toString('latin1');
          if (!said.includes('\r\n')) return;
          if (said.startsWith('HTTP/1.1 200')) settle(() => resolve(socket));
          else
            settle(() => {
              socket.terminate();
              reject(new Error(`${url.href}: the event stream was refused: ${said.split('\r\n', 1)[0]}`));
            });
        },
        close: () => settle(() => reject(new Error(`${url.href}: closed the event stream`))),
      },
    }).catch((error: unknown) => settle(() => reject(error)));
  });
}
