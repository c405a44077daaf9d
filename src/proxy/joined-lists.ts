// The lists of an endpoint that joins servers, and the names that come of them.
// Called by aggregate.ts (makes it) and both its faces. Promises: no list waits for a slow server longer than the bound; an earlier list stands in for a server that is out of
// order, and is said to; a name that a list has shown leads to the one thing that it showed.
import { must } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Draft, Member } from '../bridge/member.ts';
import type { Exchange } from '../exchange.ts';
import { has, text } from '../mcp/envelope.ts';
import { resultMessage } from '../mcp/errors.ts';
import { type ListPlace, readCursor, writeCursor } from '../mcp/list-cursor.ts';
import { isMarkedStale, type MemberPages } from '../mcp/merge.ts';
import { mergeLists, namesOf } from '../mcp/merge-lists.ts';
import { maySeemShort, type NameGiver, type OwnName } from '../mcp/outward.ts';
import { LIST_OF, METHOD } from '../mcp/protocol.ts';
import { type ListShape, listShape } from '../mcp/rewrite.ts';
import { type Choice, NamedChoice, type View } from '../mcp/view.ts';
import type { Log } from '../observe/log.ts';
import type { Clock } from '../runtime/runtime.ts';
import { ENVELOPE } from '../scan/contract.ts';
import { Catalogue } from './catalogue.ts';
import type { ListAsker, ListQuestion, NamedFor } from './list-asker.ts';
import { ownDraft } from './list-draft.ts';
import type { ListKey, ListMemory } from './list-memory.ts';
import { type Asking, isSilent, Silences } from './silences.ts';

/** Bounds of joined lists. Whoever owns them may change them: each list goes by what they are when it is answered. */
export interface ListBounds {
  /** Elements on a page; 0: all. */
  readonly pageSize: number;
  /** How long a server's last list stands in for it. */
  readonly listGraceMs: number;
}

/** Bounds of joined lists. Whoever owns them may change them: each list goes by what they are when it is answered. */
export interface ListBounds {
  /** Elements on a page; 0: all. */
  readonly pageSize: number;
  /** How long a server's last list stands in for it. */
  readonly listGraceMs: number;
}

/** What they are made of. */
export interface JoinedParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly memory: ListMemory;
  readonly path: string;
  readonly bounds: ListBounds;
}

/** Names whose changes were told in the log; so that a hostile server cannot fill it. */
const TOLD_MAX = 1_000;

/** Joins the lists of an endpoint's members. */
export class JoinedLists {
  readonly #parts: JoinedParts;
  readonly #catalogue: Catalogue;
  readonly #told = new Set<string>();
  /** Members that did not answer in time. */
  readonly silences: Silences;
  #members: readonly Member[];
  #view: View | null;

  constructor(members: readonly Member[], view: View | null, parts: JoinedParts) {
    this.#members = members;
    this.#view = view;
    this.#parts = parts;
    this.#catalogue = new Catalogue(parts.clock);
    this.silences = new Silences(parts.clock, members.length);
  }

  regroup(members: readonly Member[], view: View | null): void {
    this.#members = members;
    this.#view = view;
    this.#catalogue.clear();
    this.silences.keep(members);
  }

  /** Nothing is asked any more. */
  close(): void {
    this.silences.keep([]);
  }

  /** Lets go of what is too old to stand in for anything; called every few seconds. */
  sweep(): void {
    this.#parts.memory.sweep(Math.max(this.#parts.bounds.listGraceMs, LIMITS.listContinuedMs));
  }

  /** A member told its client that a list has changed. */
  changed(member: Member, method: string): void {
    for (const list of LIST_OF[method] ?? []) {
      this.#parts.memory.outdate(member, list);
      this.#catalogue.outdate(list);
    }
  }

  // ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Answers a client's list, or the page of it that its cursor names. */
  async answer(exchange: Exchange, question: ListQuestion, asker: ListAsker): Promise<void> {
    const from = this.#placeOf(exchange, question.method);
    if (from instanceof GatewayError) return exchange.refuse(from);
    const choice = this.#choiceOf(question.shape);
    // Names that do not tell whose they are depend on what earlier servers have taken.
    const isOwn = choice instanceof NamedChoice && choice.needsCatalogue;
    const first = from === null || isOwn ? 0 : this.#indexOf(from);
    const { clock } = this.#parts;
    exchange.sent(clock.now());
    const lists = await this.#collect(question, asker, first, from === null ? 'first' : 'page');
    exchange.replied(clock.now(), true);
    const id = exchange.requestId;
    if (id === null) return exchange.refuse(new GatewayError('GW_MCP_MESSAGE', 'it has no id'));
    const failed = nobodyListed(lists);
    if (failed !== null) return exchange.refuse(failed);
    const merged = mergeLists(lists, {
      ...{ shape: question.shape, self: asker.self, choice, from },
      pageSize: this.#parts.bounds.pageSize,
      cursorOf: (place) => writeCursor(place, this.#listName(question.method)),
    });
    if (merged.names !== null) this.#note(question, asker, lists, merged.names);
    exchange.replyJson(200, resultMessage(id, merged.result));
  }

  #listName(method: string): string {
    return `${this.#parts.path}\n${method}`;
  }

  #choiceOf({ items }: ListShape): Choice | null {
    return this.#view?.of(items) ?? null;
  }

  #indexOf(place: ListPlace): number {
    return this.#members.findIndex(({ spec }) => spec.name === place.server);
  }

  /** Where the client's cursor says that its page begins; null without one. */
  #placeOf({ envelope, body }: Exchange, method: string): ListPlace | GatewayError | null {
    if (envelope === null || !has(envelope, ENVELOPE.cursor)) return null;
    const cursor = text(body, envelope, ENVELOPE.cursor);
    const place = cursor === null ? null : readCursor(cursor, this.#listName(method));
    if (place !== null && this.#indexOf(place) >= 0) return place;
    return new GatewayError('GW_MCP_PARAMS', 'the cursor is not one of this list: begin without one');
  }

  /** The lists of all members from the first one on. A page behind the first is cut from what has just been asked, if that is still there. */
  #collect(
    question: ListQuestion,
    asker: ListAsker,
    first: number,
    why: 'first' | 'page' | 'names',
  ): Promise<readonly MemberPages[]> {
    const ageMs = why === 'first' ? -1 : LIMITS.listContinuedMs;
    const { memory } = this.#parts;
    const detachable = { ...question, draft: ownDraft(question.draft) };
    return Promise.all(
      this.#members.slice(first).map((member, at): MemberPages | Promise<MemberPages> => {
        const key = asker.keyOf(first + at);
        const recent = memory.recall(member, question.method, key, { ageMs, isCurrent: true });
        if (recent !== null) return { server: member.spec.name, pages: recent.pages, fault: null };
        // The first page has waited for it, and has said so.
        const failed = why === 'page' ? memory.failed(member, question.method, key, ageMs) : null;
        if (failed !== null) return failed;
        return this.ask(first + at, detachable, asker);
      }),
    );
  }

  /** Asks one member, unless it is known to be silent, and makes the best of what comes. */
  async ask(index: number, question: ListQuestion, asker: ListAsker): Promise<MemberPages> {
    const { method } = question;
    const member = must(this.#members[index], 'a member');
    const key = asker.keyOf(index);
    const asking: Asking = {
      now: () => asker.list(index, question),
      again: async () => {
        const list = await asker.listAgain(index, question);
        if (list !== null && !isSilent(list)) this.#settle(member, method, key, list);
        return list;
      },
      back: {
        who: asker.back.who,
        tell: () => {
          this.#catalogue.outdate(method);
          asker.back.tell();
        },
      },
    };
    // Tasks come and go all the time: what there was of them says nothing.
    if (method === METHOD.tasksList) return asking.now();
    return this.#settle(member, method, key, await this.silences.ask({ member, method, key }, asking));
  }

  /** Keeps an answer that is whole; for a member that is out of order gives what it gave last. */
  #settle(member: Member, method: string, key: ListKey, list: MemberPages): MemberPages {
    const isCached = list.pages.some(isMarkedStale);
    if (list.fault === null && !isCached) {
      if (list.pages.length > 0) this.#parts.memory.remember(member, method, key, list.pages);
      return list;
    }
    if (list.isOutage !== true && !isCached) return list;
    const { memory, bounds } = this.#parts;
    const ageMs = bounds.listGraceMs;
    const kept = memory.recall(member, method, key, { ageMs, isCurrent: false });
    const staleMs = Math.round(kept?.ageMs ?? 0);
    if (isCached && list.fault === null) return { ...list, staleMs };
    const outcome = kept === null ? list : { server: list.server, pages: kept.pages, fault: null, staleMs };
    if (kept !== null || list.pages.length === 0) memory.fail(member, method, key, outcome);
    return outcome;
  }

  // ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Finds what a name stands for and goes on with it, at once where lists have shown the name before; null: no list shows it. `ask` is called when members have
   * to be asked; what it needs of the exchange it takes then.
   */
  async resolve(
    { kind, name }: { readonly kind: NamedKind; readonly name: string },
    who: NamedFor,
    ask: () => ListAsker & { readonly draft: Draft },
    go: (found: OwnName | null) => void,
  ): Promise<void> {
    const key = catalogueKey(LIST_METHOD[kind], who);
    const known = this.#catalogue.find(key, name);
    if (known === null) {
      await this.#learn(kind, key, ask());
      return go(this.#catalogue.find(key, name));
    }
    // A server has said that its list is another one: this client goes by the one that it has seen.
    const learning = this.#catalogue.isOutdated(key) ? this.#learn(kind, key, ask()) : null;
    go(known);
    learning?.catch((thrown: unknown) =>
      this.#parts.log.error('names could not be learned', { fault: String(thrown) }),
    );
  }

  /** Asks all members for the names that they have, unless that was just done. */
  #learn(kind: NamedKind, key: string, asker: ListAsker & { readonly draft: Draft }): Promise<void> {
    const method = LIST_METHOD[kind];
    return this.#catalogue.refresh(key, method, async () => {
      const shape = listShape(method, 'modern');
      if (shape === null) return;
      const question = { method, shape, draft: asker.draft };
      const lists = await this.#collect(question, asker, 0, 'names');
      this.#note(question, asker, lists, namesOf(lists, shape, this.#choiceOf(shape)));
    });
  }

  #note(
    { method, shape }: ListQuestion,
    asker: ListAsker,
    lists: readonly MemberPages[],
    names: NameGiver,
  ): void {
    const choice = this.#choiceOf(shape);
    const isOwn = choice instanceof NamedChoice && choice.needsCatalogue;
    const servers = new Set(lists.filter(({ pages }) => pages.length > 0).map(({ server }) => server));
    const isKept = (name: string): boolean => isOwn || maySeemShort(name) || names.changed.has(name);
    this.#catalogue.note(catalogueKey(method, asker), method, { names, servers, isKept });
    for (const [name, { server, own }] of names.changed) {
      if (this.#told.size >= TOLD_MAX || this.#told.has(`${method}\n${name}`)) continue;
      this.#told.add(`${method}\n${name}`);
      this.#parts.log.warn('a name is taken or too long: it is shown as another', {
        path: this.#parts.path,
        server,
        own,
        name,
      });
    }
  }
}

/** What has names. */
export type NamedKind = 'tools' | 'prompts';

/** The lists in which they are. */
export const LIST_METHOD: Readonly<Record<NamedKind, string>> = Object.freeze({
  tools: METHOD.toolsList,
  prompts: METHOD.promptsList,
});

function catalogueKey(method: string, { partition, self }: NamedFor): string {
  return JSON.stringify([method, self === null, partition]);
}

/** The refusal when not one server could list; null when one could. */
function nobodyListed(lists: readonly MemberPages[]): GatewayError | null {
  const failed = lists.find((one) => one.fault !== null);
  if (failed === undefined || lists.some((one) => one.pages.length > 0)) return null;
  return new GatewayError(
    'GW_UPSTREAM_MESSAGE',
    `no server could list; ${failed.server}: ${failed.fault ?? ''}`,
  );
}
