// What a server's own lists say of its tools: which of them may be called twice, told to whom.
// Called by tool-book.ts, of which each endpoint with policies of its own has one, over the same notes. Promises: what one client was listed says nothing to a client
// with other credentials; bounded; a tool that nobody spoke of may not be called twice.
import { LIMITS } from '../base/limits.ts';
import { credentialsOf } from '../mcp/credentials.ts';
import { type Message, span } from '../mcp/envelope.ts';
import { eachElement, isArray, isObject, member, type Span, stringMember } from '../mcp/json.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { UpstreamRequest } from '../upstream/upstream.ts';

/** Sets of credentials whose lists are remembered. */
const READERS_MAX = 1_024;
const TRUE = 0x74;

/** What one server said of its tools, in one worker. */
export class ToolNotes {
  /** By credentials: what the server says of its tools to whoever has them, the longest known first. */
  readonly #notes = new Map<string, Map<string, boolean>>();
  readonly #isTold: boolean;
  readonly #notesMax: number;
  #noted = 0;

  /** `isTold`: the server is shown headers of its clients. */
  constructor(isTold: boolean, notesMax: number = LIMITS.toolNotesMax) {
    this.#isTold = isTold;
    this.#notesMax = notesMax;
  }

  /** True when the server says so to whoever asks. */
  saysRepeatable(request: UpstreamRequest, name: string): boolean {
    return this.#noted > 0 && this.#notes.get(this.#readerOf(request))?.get(name) === true;
  }

  /** Learns from the result of a tools/list; a later list corrects an earlier one, tool by tool. */
  learn(request: UpstreamRequest, { bytes, envelope }: Message): void {
    const result = span(envelope, ENVELOPE.result);
    if (result === null || !isObject(bytes, result.start)) return;
    const tools = member(bytes, result.start, 'tools');
    if (tools === null || !isArray(bytes, tools.start)) return;
    const notes = this.#notesFor(this.#readerOf(request));
    eachElement(bytes, tools.start, (start) => {
      const name = isObject(bytes, start) ? stringMember(bytes, start, 'name') : null;
      if (name !== null) this.#note(notes, name, saysRepeatable(bytes, start));
    });
  }

  #note(notes: Map<string, boolean>, name: string, isRepeatable: boolean): void {
    const had = notes.get(name);
    // What may not be called twice is as good as unknown: it takes no room.
    if (had === undefined && !isRepeatable) return;
    if (had === undefined) {
      if (this.#noted >= this.#notesMax && !this.#makeRoom(notes)) return;
      this.#noted++;
    }
    notes.set(name, isRepeatable);
  }

  /** Forgets the clients that were noted first; false when there are no others than those who need the room. */
  #makeRoom(except: Map<string, boolean>): boolean {
    for (const [reader, notes] of this.#notes) {
      if (notes === except) continue;
      this.#forget(reader, notes);
      if (this.#noted < this.#notesMax) return true;
    }
    return false;
  }

  #forget(reader: string, notes: Map<string, boolean>): void {
    this.#notes.delete(reader);
    this.#noted -= notes.size;
  }

  #notesFor(reader: string): Map<string, boolean> {
    const known = this.#notes.get(reader) ?? new Map<string, boolean>();
    // Behind all others, which are forgotten before it.
    this.#notes.delete(reader);
    this.#notes.set(reader, known);
    const [first] = this.#notes;
    if (this.#notes.size > READERS_MAX && first !== undefined) this.#forget(...first);
    return known;
  }

  /** Who reads a list: a server that gets no credentials shows all of one principal the same. */
  #readerOf({ client, headers }: UpstreamRequest): string {
    const { principal } = client;
    if (!this.#isTold) return principal;
    return [principal.length, principal, ...credentialsOf(headers)].join('\n');
  }
}

/** What a tool's annotations say: one that only reads, or whose second call adds nothing, may be called twice. */
function saysRepeatable(bytes: Uint8Array, at: number): boolean {
  const notes: Span | null = member(bytes, at, 'annotations');
  if (notes === null || !isObject(bytes, notes.start)) return false;
  const says = (hint: string): boolean => {
    const value = member(bytes, notes.start, hint);
    return value !== null && bytes[value.start] === TRUE;
  };
  return says('readOnlyHint') || says('idempotentHint');
}
