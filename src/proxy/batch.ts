// A legacy batch (2025-03-26) at a target that takes single messages: split, run side by side, and joined again.
// Called by pipeline.ts. Promises: each element is an exchange of its own with its own reply; the joined array keeps the order of the requests;
// notifications alone are answered 202.
import { concat, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { Exchange } from '../exchange.ts';
import { kindOf, readMessage } from '../mcp/envelope.ts';
import { eachElement, skipBlank } from '../mcp/json.ts';
import { EventReader } from '../mcp/sse.ts';
import type { Reply } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import { KIND } from '../scan/contract.ts';

/** Runs one element through the pipeline. */
export type RunOne = (exchange: Exchange, body: Uint8Array) => void;

/** Splits the exchange's body, runs every element, answers with the array of responses. */
export function runBatch(exchange: Exchange, scanner: Scanner, run: RunOne): void {
  const bodies: Uint8Array[] = [];
  eachElement(exchange.body, skipBlank(exchange.body, 0), (start, end) =>
    bodies.push(exchange.body.subarray(start, end)),
  );
  const answers: (Uint8Array | null)[] = bodies.map(() => null);
  let open = bodies.length;
  let parts: Exchange[] = [];
  const settle = (index: number, message: Uint8Array | null): void => {
    answers[index] = message;
    open--;
    if (open === 0) answerBatch(exchange, answers);
  };
  parts = bodies.map((_, index) =>
    elementExchange(exchange, (reply) => readReply(reply, scanner, (message) => settle(index, message))),
  );
  exchange.whenGone(() => {
    for (const part of parts) part.abandon();
  });
  parts.forEach((part, index) => {
    run(part, bodies[index] ?? encode(''));
  });
}

function elementExchange(whole: Exchange, answer: (reply: Reply) => void): Exchange {
  return new Exchange({
    id: whole.id,
    verb: 'POST',
    snapshot: whole.snapshot,
    endpoint: whole.endpoint,
    headers: whole.headers,
    startedAtMs: whole.startedAtMs,
    owner: { onFinish: () => undefined },
    replyHeaders: {},
    answer,
  });
}

function answerBatch(exchange: Exchange, answers: readonly (Uint8Array | null)[]): void {
  const messages = answers.filter((answer) => answer !== null);
  if (messages.length === 0) return exchange.reply(202, {}, null);
  const pieces = messages.flatMap((message, i) => [encode(i === 0 ? '[' : ','), message]);
  exchange.replyJson(200, concat([...pieces, encode(']')]));
}

/** The one response in a reply, whole or streamed; null when there is none. */
function readReply(reply: Reply, scanner: Scanner, done: (message: Uint8Array | null) => void): void {
  const { body } = reply;
  if (body === null) return done(null);
  const isEvents = reply.headers['content-type']?.startsWith('text/event-stream') ?? false;
  if (body instanceof Uint8Array) return done(isEvents ? lastResponse(scanner, body) : body);
  const chunks: Uint8Array[] = [];
  body.open({
    write: (bytes) => {
      chunks.push(bytes);
      return true;
    },
    end: () => done(isEvents ? lastResponse(scanner, concat(chunks)) : concat(chunks)),
    fail: () => done(null),
    onDrain: () => undefined,
  });
}

function lastResponse(scanner: Scanner, events: Uint8Array): Uint8Array | null {
  let found: Uint8Array | null = null;
  new EventReader(scanner).push(
    events,
    (event) => {
      const message = event.data.length === 0 ? null : readMessage(scanner, event.data);
      if (message === null || message instanceof GatewayError) return;
      const kind = kindOf(message.envelope);
      if (kind === KIND.result || kind === KIND.error) found = message.bytes;
    },
    true,
  );
  return found;
}
