// Copies of some requests to another place, whose replies nobody gets: to see how a new version of a server does with real requests.
// Called by worker/members.ts for servers with a mirror, around their policies. Promises: what the client gets and when is as without; the original is sent first; a
// copy that finds no free connection is not made; nothing of a legacy session is copied, nor what could do harm twice unless the configuration says so; a client's
// headers go along only as far as it names them.
import { LIMITS } from '../base/limits.ts';
import { isCredential } from '../mcp/credentials.ts';
import type { Random } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import type { MirrorSettings, ServerSpec } from '../upstream/spec.ts';
import type { Upstream, UpstreamCall, UpstreamRequest, UpstreamSink } from '../upstream/upstream.ts';
import { isContinued, isRead, isToolsCall, methodOf } from './asked.ts';
import { Layer } from './layer.ts';
import { ListEar } from './list-ear.ts';
import { ToolBook } from './tool-book.ts';
import { ToolNotes } from './tool-notes.ts';

/** What mirroring takes. */
export interface MirrorParts {
  readonly spec: Pick<ServerSpec, 'policy' | 'forwardHeaders'>;
  readonly settings: MirrorSettings;
  /** Where copies go. */
  readonly shadow: Upstream;
  readonly random: Pick<Random, 'fraction'>;
  readonly scanner: Scanner;
}

/** Puts the copying around a server. */
export function withMirror(server: Upstream, parts: MirrorParts): Upstream {
  const notes = new ToolNotes(parts.spec.forwardHeaders.length > 0);
  const book = new ToolBook(parts.spec, notes);
  return new MirrorLayer(new ListEar(server, notes, parts.scanner), parts, book);
}

class MirrorLayer extends Layer {
  readonly #parts: MirrorParts;
  readonly #book: ToolBook;
  readonly #copies = new Set<UpstreamCall>();

  constructor(inner: Upstream, parts: MirrorParts, book: ToolBook) {
    super(inner);
    this.#parts = parts;
    this.#book = book;
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const call = this.inner.send(request, sink);
    if (request.era === 'modern' && this.#isDrawn() && this.#mayBeCopied(request)) this.#copy(request);
    return call;
  }

  #isDrawn(): boolean {
    const { random, settings } = this.#parts;
    return random.fraction() * 100 < settings.percent;
  }

  #mayBeCopied(request: UpstreamRequest): boolean {
    if (request.verb !== 'POST' || this.#copies.size >= LIMITS.mirrorConnectionsMax) return false;
    // What it goes on with is another server's.
    if (isContinued(request)) return false;
    if (!isToolsCall(request)) return isRead(methodOf(request));
    return this.#parts.settings.all || this.#book.isRepeatable(request);
  }

  #copy(request: UpstreamRequest): void {
    const { shadow, settings } = this.#parts;
    const headers = kept(request.headers, settings.forwardHeaders);
    // Whoever sent the original may use its envelope again once that has ended.
    const envelope = request.envelope?.slice() ?? null;
    const { tried: _, marks: __, ...rest } = request;
    const sink = new DroppingSink(() => this.#copies.delete(call));
    const call = shadow.send({ ...rest, headers, envelope }, sink);
    this.#copies.add(call);
  }

  override async close(withinMs: number): Promise<void> {
    for (const copy of this.#copies) copy.abort();
    this.#copies.clear();
    await Promise.all([this.inner.close(withinMs), this.#parts.shadow.close(0)]);
  }
}

/** Headers of the protocol and of traces, and those of the client that the configuration names. */
function kept(headers: readonly string[], named: readonly string[]): readonly string[] {
  const own: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (!isCredential(name) || named.includes(name)) own.push(name, headers[i + 1] ?? '');
  }
  return own;
}

/** Lets a reply go by. */
class DroppingSink implements UpstreamSink {
  readonly #onOver: () => void;

  constructor(onOver: () => void) {
    this.#onOver = onOver;
  }

  onHead(): void {
    // Nobody asked.
  }

  onData(): boolean {
    return true;
  }

  onEnd(): void {
    this.#onOver();
  }

  onFail(): void {
    this.#onOver();
  }
}
