// A key in `_meta` that is the same for one call of a client and all its repeats, so that a server can tell a repeat from a second call.
// Called by policies.ts, where keys are wanted and something may be sent again. Promises: the body is spliced, never encoded again; a key that the client has set
// stays; calls that are sent once bear none.
import { encode, hexOf, splice } from '../base/bytes.ts';
import { span } from '../mcp/envelope.ts';
import { isObject, member } from '../mcp/json.ts';
import { putInMeta } from '../mcp/object-edits.ts';
import type { Random } from '../runtime/runtime.ts';
import { ENVELOPE, SCAN, type Scanner } from '../scan/contract.ts';
import type { KeyPolicy, RetrySettings } from '../upstream/spec.ts';
import type { Upstream, UpstreamCall, UpstreamRequest, UpstreamSink } from '../upstream/upstream.ts';
import { isContinued, isToolsCall, toolOf } from './asked.ts';
import { Layer } from './layer.ts';
import type { ToolBook } from './tool-book.ts';

/** The key's own key under `params._meta`. */
const IDEMPOTENCY_KEY = 'sluice/idempotencyKey';

/** Random bytes of a key. */
const KEY_BYTES = 16;

/** What keys take. */
export interface KeyParts {
  readonly policy: KeyPolicy;
  readonly retries: RetrySettings;
  readonly isHedged: boolean;
  readonly book: ToolBook;
  readonly random: Random;
  readonly scanner: Scanner;
}

/** Puts keys into calls. */
export class KeyLayer extends Layer {
  readonly #parts: KeyParts;

  constructor(inner: Upstream, parts: KeyParts) {
    super(inner);
    this.#parts = parts;
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    return this.inner.send(this.#isKeyed(request) ? this.#keyed(request) : request, sink);
  }

  #isKeyed(request: UpstreamRequest): boolean {
    if (!isToolsCall(request) || isContinued(request)) return false;
    const { book, policy, retries, isHedged } = this.#parts;
    const name = toolOf(request);
    const rule = book.rule(name);
    const isSentAgain = (rule?.retries ?? retries.max) > 0 || (rule?.hedge ?? isHedged);
    if (!isSentAgain) return false;
    return policy === 'declared' ? rule?.idempotent === true : book.mayCallTwice(request, name);
  }

  #keyed(request: UpstreamRequest): UpstreamRequest {
    const { body, envelope, edits } = request;
    const params = envelope === null ? null : span(envelope, ENVELOPE.params);
    if (envelope === null || params === null) return request;
    const at = span(envelope, ENVELOPE.meta);
    if (at !== null && (!isObject(body, at.start) || member(body, at.start, IDEMPOTENCY_KEY) !== null))
      return request;
    const key = encode(`"${IDEMPOTENCY_KEY}":"${hexOf(this.#parts.random.bytes(KEY_BYTES))}"`);
    const edit = putInMeta(body, params, at, key);
    // All edits are made here: another layer's own ones may be at the very same place.
    const whole = splice(body, [edit, ...edits]);
    const scanned = new Int32Array(ENVELOPE.length);
    if (this.#parts.scanner.scan(whole, 0, whole.length, scanned) !== SCAN.ok) return request;
    return { ...request, body: whole, envelope: scanned, edits: [] };
  }
}
