// What a legacy session says outside of calls, handed out to the listens of the modern clients that share it.
// Called by listen.ts. Promises: each listen hears what it asked for and nothing else; the session is watched, and its event stream open, only while
// somebody listens; after a gap everything is told to have changed.
import type { GatewayError } from '../../base/errors.ts';
import { type Message, text } from '../../mcp/envelope.ts';
import { METHOD } from '../../mcp/protocol.ts';
import { CHANGED, covers, type ListenFilter } from '../../mcp/subscriptions.ts';
import { ENVELOPE } from '../../scan/contract.ts';
import type { HeldSession, SessionWatcher } from './sessions.ts';
import type { SubscribedResources } from './subscribed.ts';

/** One listen, as the hub sees it. */
export interface Listener {
  /** What it hears; what was not granted is left out. */
  readonly filter: ListenFilter;
  /** A notification of the server that it asked for. */
  hear(message: Message): void;
  /** One that the gateway tells it. */
  tell(method: string, params: Readonly<Record<string, unknown>>): void;
  /** Nothing more will come: the session was closed (null), or could not be had again. */
  over(error: GatewayError | null): void;
}

/** All listens of one session. */
export class ListenHub implements SessionWatcher {
  readonly resources: SubscribedResources;
  readonly #listeners = new Set<Listener>();
  readonly #onEmpty: () => void;
  readonly #unwatch: () => void;

  /** `onEmpty` is called once, when nobody listens any more. */
  constructor(session: HeldSession, resources: SubscribedResources, onEmpty: () => void) {
    this.resources = resources;
    this.#onEmpty = onEmpty;
    this.#unwatch = session.watch(this);
  }

  join(listener: Listener): void {
    this.#listeners.add(listener);
  }

  leave(listener: Listener): void {
    if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
    this.#unwatch();
    this.#onEmpty();
  }

  onNotification(message: Message): void {
    const { bytes, envelope } = message;
    const method = text(bytes, envelope, ENVELOPE.method) ?? '';
    const uri = method === METHOD.resourceUpdated ? text(bytes, envelope, ENVELOPE.uri) : null;
    for (const listener of [...this.#listeners])
      if (isWanted(listener.filter, method, uri)) listener.hear(message);
  }

  onRenewed(): void {
    void this.resources.renew().then(() => {
      for (const listener of [...this.#listeners]) {
        const { flags, uris } = listener.filter;
        for (const flag of flags) listener.tell(CHANGED[flag] ?? '', {});
        for (const uri of uris) listener.tell(METHOD.resourceUpdated, { uri });
      }
    });
  }

  onOver(error: GatewayError | null): void {
    this.resources.forget();
    for (const listener of [...this.#listeners]) listener.over(error);
  }
}

function isWanted({ flags, uris }: ListenFilter, method: string, uri: string | null): boolean {
  if (uri !== null) return uris.some((subscribed) => covers(subscribed, uri));
  return flags.some((flag) => CHANGED[flag] === method);
}
