// Lines between threads around a platform's message ports, which differ in how they are heard.
// Called by bun-port.ts and node-port.ts only. Promises: runtime.ts's Port; an end that has gone to another thread is dead on this one.
import { assert } from '../base/assert.ts';
import type { Port } from './runtime.ts';

/** What the ports of every platform have. */
interface RawEnd {
  postMessage(message: unknown): void;
  close(): void;
}

/** Our ends around a platform's. */
export interface LineEnds<R extends RawEnd> {
  /** The two ends of a fresh line. */
  channel(): readonly [Port, Port];
  /** The platform's ends behind ours, to go with a message. */
  release(ports: readonly Port[]): R[];
  /** Ours around the platform's ends that came with a message. */
  adopt(ports: readonly R[]): readonly Port[];
}

/** Makes them: `pair` opens a line, `listen` replaces who hears an end. */
export function lineEnds<R extends RawEnd>(
  pair: () => readonly [R, R],
  listen: (raw: R, callback: (message: unknown) => void) => void,
): LineEnds<R> {
  class End implements Port {
    readonly raw: R;

    constructor(raw: R) {
      this.raw = raw;
    }

    post(message: unknown): void {
      this.raw.postMessage(message);
    }

    onMessage(callback: (message: unknown) => void): void {
      listen(this.raw, callback);
    }

    close(): void {
      this.raw.close();
    }
  }
  return {
    channel: () => {
      const [one, other] = pair();
      return [new End(one), new End(other)];
    },
    release: (ports) =>
      ports.map((port) => {
        assert(port instanceof End, 'a port goes to a thread of the runtime that made it');
        return port.raw;
      }),
    adopt: (ports) => ports.map((port) => new End(port)),
  };
}
