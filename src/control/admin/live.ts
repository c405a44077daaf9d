// What happens, as it happens: figures each second, exchanges, changed servers, audit events, to everyone who listens.
// Called by events.ts. Promises: one timer for all listeners, none without any; a listener that does not read is let go of once its share of memory is used up; the
// number of listeners is bounded.
import { encode } from '../../base/bytes.ts';
import { GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import type { TimerId } from '../../runtime/runtime.ts';
import { auditView } from './audit.ts';
import type { Governed } from './governed.ts';
import { Sampler } from './sampler.ts';
import { TrafficFeed } from './traffic.ts';

/** One who listens. */
interface Listener {
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
}

/** Looks while somebody listens. */
interface Watch {
  readonly sampler: Sampler;
  readonly traffic: TrafficFeed;
  readonly endAudit: () => void;
  timer: TimerId;
}

/** The live events of one gateway. */
export class Live {
  readonly #governed: Governed;
  readonly #listeners = new Set<Listener>();
  #watch: Watch | null = null;

  constructor(governed: Governed) {
    this.#governed = governed;
  }

  /** A stream of events that ends when it is cancelled. Throws GW_ADMIN_BUSY when there are too many. */
  listen(): ReadableStream<Uint8Array> {
    if (this.#listeners.size >= LIMITS.adminStreamsMax)
      throw new GatewayError('GW_ADMIN_BUSY', `${LIMITS.adminStreamsMax} are open`);
    let listener: Listener | null = null;
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          listener = { controller };
          this.#listeners.add(listener);
          controller.enqueue(encode(': these are live events\n\n'));
          this.#watch ??= this.#begin();
        },
        cancel: () => {
          if (listener !== null) this.#leave(listener);
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: LIMITS.adminStreamBytesMax }),
    );
  }

  #begin(): Watch {
    const governed = this.#governed;
    const watch: Watch = {
      sampler: new Sampler(governed),
      traffic: new TrafficFeed(governed),
      endAudit: governed.registry.onEvent((event) => {
        this.#tell('audit', { item: auditView(event) });
        this.#tell('servers', { names: [event.subject] });
      }),
      timer: 0,
    };
    const tick = (): void => {
      watch.timer = governed.runtime.clock.after(
        LIMITS.adminSampleMs,
        () => void this.#sample(watch).then(next, next),
      );
    };
    const next = (): void => {
      if (this.#watch === watch) tick();
    };
    tick();
    return watch;
  }

  async #sample({ sampler, traffic }: Watch): Promise<void> {
    // Rejects once the gateway is ending: whoever still listens hears nothing more.
    this.#tell('overview', await sampler.overview());
    const items = traffic.take(LIMITS.adminTrafficMax);
    if (items.length > 0) this.#tell('traffic', { items });
    const names = sampler.changedServers();
    if (names.length > 0) this.#tell('servers', { names });
  }

  #tell(event: string, data: unknown): void {
    const bytes = encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    for (const listener of this.#listeners) {
      const { controller } = listener;
      if ((controller.desiredSize ?? 0) > 0) controller.enqueue(bytes);
      else {
        this.#leave(listener);
        controller.error(new GatewayError('GW_ADMIN_BUSY', 'this one does not read'));
      }
    }
  }

  #leave(listener: Listener): void {
    this.#listeners.delete(listener);
    const watch = this.#watch;
    if (this.#listeners.size > 0 || watch === null) return;
    this.#watch = null;
    this.#governed.runtime.clock.cancel(watch.timer);
    watch.endAudit();
  }
}
