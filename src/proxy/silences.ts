// Servers that did not answer in time, and what is done about them: whoever asks meanwhile gets what there is at once, while the server is asked again in the background.
// Called by joined-lists.ts, one for each endpoint. Promises: a server is held silent for those alone who found it so, by what they are shown as; it is asked by one of them at a
// time, and no longer than somebody wants to know; when it answers, it is asked as before, and everyone who went without is told.
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Member } from '../bridge/member.ts';
import type { MemberPages } from '../mcp/merge.ts';
import { METHOD } from '../mcp/protocol.ts';
import type { Clock, TimerId } from '../runtime/runtime.ts';
import type { ListKey } from './list-memory.ts';

/** What is asked, and for whom. */
export interface Asked {
  readonly member: Member;
  readonly method: string;
  readonly key: ListKey;
}

/** How a server is asked. */
export interface Asking {
  /** For a client that waits. */
  now(): Promise<MemberPages>;
  /** For nobody in particular, once the client may be gone; null when that cannot be done any more. */
  again(): Promise<MemberPages | null>;
  /** Told, once, when the server has answered, if this client went without; `who` keeps it from being told twice. */
  readonly back: { readonly who: unknown; tell(): void };
  /** What another client's question brought is of no use to this one: it needs a session of its own. Absent: it is the same answer. */
  readonly isUnshared?: true;
}

/** A server that answers none of these answers nothing else either. */
const HANDSHAKES: readonly string[] = [METHOD.initialize, METHOD.discover];

interface Silence {
  readonly asked: Asked;
  /** What came of it last. */
  outcome: MemberPages;
  again: Asking['again'];
  askedAtMs: number;
  readonly waiting: Map<unknown, () => void>;
  /** The attempt under way, and when it began. */
  attempt: Promise<void> | null;
  beganAtMs: number;
}

/** Knows which servers are silent. */
export class Silences {
  readonly #clock: Clock;
  /** By what was asked, those first whose turn it is. */
  readonly #all = new Map<string, Silence>();
  /** Servers that are being asked, or will be in a moment. */
  readonly #turns = new Map<Member, TimerId>();

  #members: number;

  /** `members`: how many there are. */
  constructor(clock: Clock, members: number) {
    this.#clock = clock;
    this.#members = members;
  }

  /** Asks a server; one that is known to be silent is not waited for. */
  async ask(asked: Asked, asking: Asking): Promise<MemberPages> {
    const silence = this.#find(asked);
    if (silence === null) return this.#first(asked, asking);
    silence.askedAtMs = this.#clock.now();
    silence.again = asking.again;
    if (silence.waiting.size < LIMITS.silenceWaitingMax)
      silence.waiting.set(asking.back.who, asking.back.tell);
    // With nobody to speak for, there is no answer that could come at once.
    const isEveryone = this.#silentMembers() >= this.#members;
    if (!isEveryone) await this.#grace(silence);
    else if (silence.attempt === null) return this.#first(asked, asking);
    else await silence.attempt;
    if (this.#find(asked) !== null) return silence.outcome;
    silence.waiting.delete(asking.back.who);
    const isSame = asked.method === silence.asked.method && asking.isUnshared !== true;
    return isSame ? silence.outcome : this.#first(asked, asking);
  }

  async #first(asked: Asked, asking: Asking): Promise<MemberPages> {
    const outcome = await asking.now();
    const name = nameOf(asked);
    const before = this.#all.get(name);
    if (before !== undefined && !isSilent(outcome)) this.#lift(name, before);
    if (!isSilent(outcome) || before !== undefined || this.#all.size >= LIMITS.silencesMax) return outcome;
    const waiting = new Map([[asking.back.who, asking.back.tell]]);
    const { again } = asking;
    const nowMs = this.#clock.now();
    this.#all.set(name, { asked, outcome, again, askedAtMs: nowMs, waiting, attempt: null, beganAtMs: 0 });
    this.#turn(asked.member, 0);
    return outcome;
  }

  /** An attempt that has only just begun is waited for: a server that is well again answers at once. */
  async #grace({ attempt, beganAtMs }: Silence): Promise<void> {
    const leftMs = beganAtMs + LIMITS.silenceGraceMs - this.#clock.now();
    if (attempt === null || leftMs <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(leftMs, resolve);
      void attempt.then(() => {
        this.#clock.cancel(timer);
        resolve();
      });
    });
  }

  #silentMembers(): number {
    return new Set([...this.#all.values()].map(({ asked }) => asked.member)).size;
  }

  #find(asked: Asked): Silence | null {
    const own = [asked.method, ...HANDSHAKES].map((method) => this.#all.get(nameOf({ ...asked, method })));
    const found = own.find((one) => one !== undefined);
    return found?.asked.member === asked.member ? found : null;
  }

  // ── attempts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Somebody who wants to know asks the server, unless somebody does already. */
  #turn(member: Member, waitMs: number): void {
    if (this.#turns.has(member)) return;
    this.#turns.set(
      member,
      this.#clock.after(waitMs, () => void this.#attempt(member)),
    );
  }

  async #attempt(member: Member): Promise<void> {
    const next = this.#next(member);
    if (next === null) {
      this.#turns.delete(member);
      return;
    }
    const [name, silence] = next;
    silence.beganAtMs = this.#clock.now();
    let hasAnswered = false;
    silence.attempt = silence
      .again()
      .catch(() => null)
      .then((outcome) => {
        silence.attempt = null;
        // Some pages in time are worth more than none: a client may be reading them.
        if (outcome !== null && (!isSilent(outcome) || outcome.pages.length >= silence.outcome.pages.length))
          silence.outcome = outcome;
        hasAnswered = outcome !== null && !isSilent(outcome);
        if (hasAnswered && this.#all.get(name) === silence) this.#lift(name, silence);
      });
    await silence.attempt;
    // Whose turn it was comes behind all others.
    if (this.#all.get(name) === silence) {
      this.#all.delete(name);
      this.#all.set(name, silence);
    }
    this.#turns.delete(member);
    if (this.#next(member) !== null) this.#turn(member, hasAnswered ? 0 : LIMITS.silencePauseMs);
  }

  #lift(name: string, { waiting }: Silence): void {
    this.#all.delete(name);
    for (const tell of waiting.values()) tell();
  }

  #next(member: Member): readonly [string, Silence] | null {
    const sinceMs = this.#clock.now() - LIMITS.silenceWantedMs;
    for (const [name, silence] of this.#all) {
      if (silence.askedAtMs < sinceMs) this.#all.delete(name);
      else if (silence.asked.member === member) return [name, silence];
    }
    return null;
  }

  /** These are the servers from now on; what was known of others is forgotten. */
  keep(members: readonly Member[]): void {
    this.#members = members.length;
    for (const [name, { asked }] of this.#all) if (!members.includes(asked.member)) this.#all.delete(name);
    for (const [member, timer] of this.#turns) {
      if (members.includes(member)) continue;
      this.#clock.cancel(timer);
      this.#turns.delete(member);
    }
  }
}

/** True when a server has not said anything in time; one that cannot be reached has failed at once, and costs nobody any time. */
export function isSilent({ isOutage, error }: MemberPages): boolean {
  return isOutage === true && error?.code === 'GW_UPSTREAM_TIMEOUT';
}

/** What is known of a server that has not been asked for the present client, for which others found it silent. */
export function silentFault({ fault }: MemberPages): GatewayError {
  return new GatewayError('GW_UPSTREAM_TIMEOUT', `it was silent before: ${fault ?? ''}`);
}

function nameOf({ member, method, key }: Asked): string {
  return JSON.stringify([member.spec.name, method, key.asked, key.partition]);
}
