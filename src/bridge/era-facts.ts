// What is known of the eras that a server speaks, kept per credentials: it may show another face to another user.
// Called by era.ts. Promises: bounded in number; what is not known is `unknown`, never guessed; a server that gets no credentials of clients has one record.
import { LIMITS } from '../base/limits.ts';

/** What is known of one era. `watched` is `yes`, and the next reply is looked at to see whether it still holds. */
export const SPEAKS = Object.freeze({ unknown: 0, no: 1, yes: 2, watched: 3 });

/** A SPEAKS number. */
export type Speaks = (typeof SPEAKS)[keyof typeof SPEAKS];

/** The facts, for one set of credentials. Times are the clock's, in ms. */
export class EraFacts<Probe> {
  modern: Speaks = SPEAKS.unknown;
  legacy: Speaks = SPEAKS.unknown;
  /** Until when a `no` is believed without asking again. */
  modernNoUntilMs = 0;
  legacyNoUntilMs = 0;
  /** Not to be asked again on mere suspicion before. */
  calmUntilMs = 0;
  /** Under way, or null. */
  probe: Probe | null = null;
}

/** Forwarded headers that tell requests or programs apart, not users: they must not multiply what is known. */
const NO_CREDENTIALS: readonly string[] = [
  'accept-language',
  'baggage',
  'forwarded',
  'origin',
  'referer',
  'traceparent',
  'tracestate',
  'user-agent',
  'via',
  'x-correlation-id',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
  'x-real-ip',
  'x-request-id',
];

/** True for a forwarded header that can tell a server whom a request is for; its name in lower case. */
export function isCredential(name: string): boolean {
  return !NO_CREDENTIALS.includes(name);
}

/** All facts about one server. */
export class FactBook<Probe> {
  /** The one record of a server that gets nobody's credentials, else null. */
  readonly only: EraFacts<Probe> | null;
  readonly #names: readonly string[];
  readonly #byCredentials = new Map<string, EraFacts<Probe>>();

  /** `forwarded` are the names of the clients' headers that the server gets, in lower case. */
  constructor(forwarded: readonly string[]) {
    this.#names = forwarded.filter(isCredential);
    this.only = this.#names.length === 0 ? new EraFacts() : null;
  }

  /** The record for a request's headers (name, value, …). */
  of(headers: readonly string[]): EraFacts<Probe> {
    if (this.only !== null) return this.only;
    const key = this.#credentials(headers);
    const known = this.#byCredentials.get(key);
    if (known !== undefined) return known;
    if (this.#byCredentials.size >= LIMITS.eraRecordsMax) {
      const [oldest] = this.#byCredentials.keys();
      if (oldest !== undefined) this.#byCredentials.delete(oldest);
    }
    const facts = new EraFacts<Probe>();
    this.#byCredentials.set(key, facts);
    return facts;
  }

  /** Visits every record. */
  each(visit: (facts: EraFacts<Probe>) => void): void {
    if (this.only !== null) visit(this.only);
    for (const facts of this.#byCredentials.values()) visit(facts);
  }

  #credentials(headers: readonly string[]): string {
    let key = '';
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const name = headers[i] ?? '';
      if (this.#names.includes(name)) key += `${name}\n${headers[i + 1] ?? ''}\n`;
    }
    return key;
  }
}
