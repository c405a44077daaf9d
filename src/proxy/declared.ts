// What members declared at their last initialize: a member that is down when a session begins may be back before it ends.
// Called by aggregate-legacy.ts. Promises: told to who shows the same credentials only; one declaration a member; a member that was configured anew has declared nothing.
import type { Leg } from '../bridge/leg.ts';
import type { Member } from '../bridge/member.ts';
import { isRecord } from '../mcp/envelope.ts';
import type { Clock } from '../runtime/runtime.ts';

type Capabilities = Readonly<Record<string, unknown>>;

interface Declared {
  readonly partition: string;
  readonly capabilities: Capabilities;
  readonly atMs: number;
}

/** Remembers capabilities. */
export class DeclaredLately {
  readonly #clock: Clock;
  readonly #last = new WeakMap<Member, Declared>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes note of what these legs have just declared; gives what those that are down declared before, at most so long ago. */
  of(partition: string, legs: readonly Leg[], ageMs: number): readonly Capabilities[] {
    const nowMs = this.#clock.now();
    return legs.flatMap(({ member, ready, result }) => {
      if (!ready) {
        const last = this.#last.get(member);
        const isGood = last?.partition === partition && nowMs - last.atMs <= ageMs;
        return isGood ? [last.capabilities] : [];
      }
      const { capabilities } = result;
      if (isRecord(capabilities)) this.#last.set(member, { partition, capabilities, atMs: nowMs });
      return [];
    });
  }
}
