// Names of tools and prompts as clients of a joined endpoint see them: short enough, and no two alike.
// Called by merge.ts (lists) and proxy/catalogue.ts (calls). Promises: pure; a name depends only on its own server and on those before it in the config's
// order, so that a server added at the end changes none; every name leads back to one server and its own name for the thing.
import { encode } from '../base/bytes.ts';
import { joinName } from './names.ts';

/** Longest name that clients are shown: what models' interfaces commonly take. In UTF-16 units, as they count. */
export const NAME_CHARS_MAX = 64;

const TAG_CHARS = 8;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz234567';
const SHORTENED = /_[a-z2-7]{8}$/;

/** A server and its own name for a tool or a prompt. */
export interface OwnName {
  readonly server: string;
  readonly own: string;
}

/** What decides on a name besides the rule. */
export interface NameRule {
  /** True: the servers' own names; false: `server__name`. */
  readonly isOwn: boolean;
  /** The name that the configuration gives it; null when it says nothing. */
  renameOf(server: string, own: string): string | null;
}

/** `server__name`, nothing renamed. */
export const PREFIXED: NameRule = Object.freeze({ isOwn: false, renameOf: () => null });

/** 40 bits of a text, as eight letters. */
function tagOf(text: string): string {
  let low = 0x811c9dc5;
  let high = 0x9747b28c;
  for (const byte of encode(text)) {
    low = Math.imul(low ^ byte, 0x01000193);
    high = Math.imul((high ^ byte) + ((high << 13) | (high >>> 19)), 0x85ebca6b);
  }
  low = Math.imul(low ^ (low >>> 16), 0x85ebca6b);
  high = Math.imul(high ^ (high >>> 15), 0xc2b2ae35);
  let tag = '';
  for (let i = 0; i < TAG_CHARS; i++) tag += LETTERS[((i < 4 ? low : high) >>> ((i % 4) * 6)) & 31];
  return tag;
}

/** Front of a name with room for the tag behind it; no character is cut in half. */
function front(name: string): string {
  const cut = name.slice(0, NAME_CHARS_MAX - TAG_CHARS - 1);
  const last = cut.charCodeAt(cut.length - 1);
  return last >= 0xd800 && last < 0xdc00 ? cut.slice(0, -1) : cut;
}

/** The name itself, or its front and a tag of the whole when it is too long. The same name always gives the same. */
export function shortName(name: string): string {
  return name.length <= NAME_CHARS_MAX ? name : `${front(name)}_${tagOf(name)}`;
}

/** True for what may be a shortened name: only a catalogue can tell. */
export function maySeemShort(name: string): boolean {
  return name.length >= NAME_CHARS_MAX - 1 && name.length <= NAME_CHARS_MAX && SHORTENED.test(name);
}

/** Gives names, one after the other, in the order of the servers in the configuration. */
export class NameGiver {
  readonly #rule: NameRule;
  readonly #owners = new Map<string, OwnName>();
  readonly #given = new Map<string, string>();
  /** Names that are not what the rule alone would make of them: taken by another, or too long. */
  readonly #changed = new Map<string, OwnName>();

  constructor(rule: NameRule) {
    this.#rule = rule;
  }

  /** Every name given so far, and what it stands for. */
  get owners(): ReadonlyMap<string, OwnName> {
    return this.#owners;
  }

  /** Those that were shortened, or that gave way to an earlier one. */
  get changed(): ReadonlyMap<string, OwnName> {
    return this.#changed;
  }

  /**
   * The name of a server's tool or prompt. Who comes first keeps the bare name; who finds it taken is called `server__name`; if that is taken as well, a tag is
   * put behind it. Asked twice, it answers the same.
   */
  give(server: string, own: string): string {
    const full = joinName(server, own);
    const before = this.#given.get(full);
    if (before !== undefined) return before;
    const wanted = this.#rule.renameOf(server, own) ?? (this.#rule.isOwn ? own : full);
    let name = shortName(wanted);
    if (this.#owners.has(name)) name = shortName(full);
    for (let turn = 1; this.#owners.has(name); turn++) name = `${front(full)}_${tagOf(`${full}\n${turn}`)}`;
    const owner = { server, own };
    this.#owners.set(name, owner);
    this.#given.set(full, name);
    if (name !== wanted) this.#changed.set(name, owner);
    return name;
  }
}
