// Which of several replicas a request goes to, once it is known what each may get: the less busy of two, each in turn, or by a hash.
// Called by balance.ts. Promises: never one whose share is 0; allocates nothing, keys apart. Source of the first: Mitzenmacher, "The Power of Two Choices in
// Randomized Load Balancing", 2001.
import { canonical } from '../mcp/canonical.ts';
import { credentialsOf } from '../mcp/credentials.ts';
import { isObject, member } from '../mcp/json.ts';
import type { Random } from '../runtime/runtime.ts';
import { ENVELOPE } from '../scan/contract.ts';
import { hashText, ownerOf } from './rendezvous.ts';
import type { BalanceSettings } from './spec.ts';
import type { UpstreamRequest } from './upstream.ts';

/** What a choice is made of: how busy each replica is, and what it is known by. */
export interface ChoiceParts {
  readonly loads: readonly (() => number)[];
  /** What stays the same of a replica when others come or go. */
  readonly names: readonly string[];
  readonly random: Pick<Random, 'fraction'>;
}

/** Chooses by `shares`, of which one at least is above 0. */
export interface Choice {
  choose(request: UpstreamRequest, shares: Float64Array): number;
}

/** Makes the choice that a configuration asks for. */
export function createChoice({ policy, hashOn }: BalanceSettings, parts: ChoiceParts): Choice {
  if (policy === 'round-robin') return new RoundRobin(parts);
  const leastBusy = new LeastBusy(parts);
  return policy === 'hash' ? new ByHash(hashOn, parts.names, leastBusy) : leastBusy;
}

function sumOf(shares: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < shares.length; i++) sum += shares[i] ?? 0;
  return sum;
}

class LeastBusy implements Choice {
  readonly #loads: ChoiceParts['loads'];
  readonly #random: ChoiceParts['random'];

  constructor({ loads, random }: ChoiceParts) {
    this.#loads = loads;
    this.#random = random;
  }

  choose(_request: UpstreamRequest, shares: Float64Array): number {
    const sum = sumOf(shares);
    const first = this.#draw(shares, sum, -1);
    const second = this.#draw(shares, sum - (shares[first] ?? 0), first);
    if (second < 0) return first;
    const [a, b] = [this.#load(first), this.#load(second)];
    // Even with this request the second would be no busier for its share than the first is already. With equal shares this means: it is less busy.
    return a * (shares[second] ?? 0) >= (b + 1) * (shares[first] ?? 0) ? second : first;
  }

  /** One by its share, another than `except`; -1 when there is none. */
  #draw(shares: Float64Array, sum: number, except: number): number {
    let left = this.#random.fraction() * sum;
    let last = -1;
    for (let i = 0; i < shares.length; i++) {
      const share = shares[i] ?? 0;
      if (share <= 0 || i === except) continue;
      last = i;
      left -= share;
      if (left < 0) return i;
    }
    // What rounding left over.
    return last;
  }

  #load(index: number): number {
    return this.#loads[index]?.() ?? 0;
  }
}

/** Smooth weighted round robin: each gains its share, the richest pays for all. */
class RoundRobin implements Choice {
  readonly #gained: Float64Array;

  constructor({ loads, random }: ChoiceParts) {
    // Workers that began alike would go round in step.
    this.#gained = Float64Array.from(loads, () => random.fraction());
  }

  choose(_request: UpstreamRequest, shares: Float64Array): number {
    const gained = this.#gained;
    let best = -1;
    for (let i = 0; i < shares.length; i++) {
      const share = shares[i] ?? 0;
      if (share <= 0) continue;
      gained[i] = (gained[i] ?? 0) + share;
      if (best < 0 || (gained[i] ?? 0) > (gained[best] ?? 0)) best = i;
    }
    gained[best] = (gained[best] ?? 0) - sumOf(shares);
    return best;
  }
}

const ARGUMENT = 'argument:';

class ByHash implements Choice {
  readonly #keyOf: (request: UpstreamRequest) => string | null;
  readonly #seeds: Uint32Array;
  /** For requests without a key. */
  readonly #other: Choice;

  constructor(hashOn: string, names: readonly string[], other: Choice) {
    if (hashOn.startsWith(ARGUMENT)) {
      const name = hashOn.slice(ARGUMENT.length);
      this.#keyOf = (request) => argumentOf(request, name);
    } else this.#keyOf = hashOn === 'principal' ? principalOf : clientOf;
    this.#seeds = Uint32Array.from(names, hashText);
    this.#other = other;
  }

  choose(request: UpstreamRequest, shares: Float64Array): number {
    const key = this.#keyOf(request);
    return key === null ? this.#other.choose(request, shares) : ownerOf(hashText(key), this.#seeds, shares);
  }
}

/** Null where nobody is asked who they are: all would be one. */
function principalOf({ client }: UpstreamRequest): string | null {
  return client.principal === '' ? null : client.principal;
}

function clientOf({ client, headers }: UpstreamRequest): string | null {
  const credentials = credentialsOf(headers);
  if (client.principal === '' && credentials.length === 0) return null;
  return [client.principal, ...credentials].join('\n');
}

/** Only those of tools and prompts have a place in the envelope; one that is a string counts as its text. */
function argumentOf({ body, envelope }: UpstreamRequest, name: string): string | null {
  const at = envelope?.[ENVELOPE.arguments] ?? -1;
  if (envelope === null || at < 0 || !isObject(body, at)) return null;
  const value = member(body, at, name);
  return value === null ? null : canonical(body, value.start);
}
