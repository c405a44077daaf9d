// The resources that a legacy session is subscribed to, for all listens of modern clients that share it.
// Called by listen-hub.ts. Promises: the server is asked once for each resource that anyone wants, and told when nobody does any more; of one resource the
// server hears one thing at a time; bounded in number.
import { GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { kindOf } from '../../mcp/envelope.ts';
import { METHOD } from '../../mcp/protocol.ts';
import { KIND } from '../../scan/contract.ts';
import type { HeldSession } from './sessions.ts';

/** What the server is to know of one resource, and what it knows. */
interface Resource {
  wanted: number;
  isSubscribed: boolean;
  /** Life of the session in which that was so. */
  life: number;
  /** What the server is still to be asked, in order. */
  work: Promise<boolean>;
}

/** All resources of one session. */
export class SubscribedResources {
  readonly #session: HeldSession;
  readonly #resources = new Map<string, Resource>();
  #life = 0;
  #isOver = false;

  constructor(session: HeldSession) {
    this.#session = session;
  }

  /** True once the session ended. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** One more wants the resource; resolves with true once the server says that it will tell. To be followed by one release() in any case. */
  acquire(uri: string): Promise<boolean> {
    const known = this.#resources.get(uri);
    if (known === undefined && this.#resources.size >= LIMITS.sessionSubscriptionsMax)
      return Promise.resolve(false);
    const resource = known ?? {
      wanted: 0,
      isSubscribed: false,
      life: this.#life,
      work: Promise.resolve(false),
    };
    this.#resources.set(uri, resource);
    resource.wanted++;
    return this.#settle(uri, resource);
  }

  /** One less wants it. */
  release(uri: string): void {
    const resource = this.#resources.get(uri);
    if (resource === undefined || resource.wanted === 0) return;
    resource.wanted--;
    if (resource.wanted === 0) void this.#settle(uri, resource);
  }

  /** The session was begun anew: subscribes to everything again; resolves when the server has heard it all. */
  async renew(): Promise<void> {
    this.#life++;
    await Promise.all([...this.#resources].map(([uri, resource]) => this.#settle(uri, resource)));
  }

  /** The session ends, and its subscriptions with it. */
  forget(): void {
    this.#isOver = true;
    this.#resources.clear();
  }

  #settle(uri: string, resource: Resource): Promise<boolean> {
    resource.work = resource.work.then(() => this.#ask(uri, resource));
    return resource.work;
  }

  /** Makes what the server knows what it is to know. */
  async #ask(uri: string, resource: Resource): Promise<boolean> {
    if (this.#isOver) return false;
    if (resource.life !== this.#life) resource.isSubscribed = false;
    const isWanted = resource.wanted > 0;
    if (resource.isSubscribed === isWanted) {
      if (!isWanted && this.#resources.get(uri) === resource) this.#resources.delete(uri);
      return isWanted;
    }
    const life = this.#life;
    const answer = await this.#session.ask(isWanted ? METHOD.subscribe : METHOD.unsubscribe, { uri });
    const isDone = !(answer instanceof GatewayError) && kindOf(answer.envelope) === KIND.result;
    resource.life = life;
    // A server that refuses to unsubscribe is not asked again; what it tells is told to nobody.
    resource.isSubscribed = isWanted && isDone;
    if (resource.wanted === 0 && !resource.isSubscribed && this.#resources.get(uri) === resource)
      this.#resources.delete(uri);
    return resource.isSubscribed;
  }
}
