// Seals what a client will bring back into a text that it can neither read nor change nor use elsewhere, and opens it again.
// Called by handles.ts and made by worker.ts. Promises: whatever is not exactly a text that was sealed for this endpoint and principal, under a key that
// is still held, and not expired, opens as null; nothing throws for bad input. Text: base64url of key id (1 byte), nonce (12), ciphertext and tag.
import { assert } from '../base/assert.ts';
import { decode, encode } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import { WORKERS_MAX } from '../memory/layout.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Home, KeyRing, SealKey } from '../snapshot.ts';

/** Worker of a handle that every worker can serve. */
export const ANY_WORKER = 255;
assert(WORKERS_MAX <= ANY_WORKER, 'no worker has the number that stands for all');

/** Kinds of handles, by their byte. */
const KINDS = ['', 'session', 'state', 'sse'] as const;

/** What a client holds for the gateway: the home of some state, and the state's own id there. */
export interface Handle extends Home {
  /** `session`: a legacy session's id. `state`: the requestState of a call that waits for its client, or is to be made again. `sse`: a connection of HTTP+SSE. */
  readonly kind: 'session' | 'state' | 'sse';
  /** Seconds since the epoch, whole. */
  readonly expiresAtS: number;
  /** Id that the owner of the state gave it: an MCP server's, or a session table's. */
  readonly inner: string;
}

/** Who may use a handle, and where. It is not in the handle: both sides know it. */
export interface Binding {
  /** Path of the endpoint. */
  readonly endpoint: string;
  readonly principal: string;
}

/** What a sealer needs of the world. */
export type SealerTools = Pick<Runtime, 'aead' | 'random'> & {
  readonly clock: Pick<Runtime['clock'], 'wall'>;
};

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Kind 1, worker 1, node 2, generation 4, expiry 4; the inner id follows. */
const FIXED_BYTES = 1 + 1 + 2 + 4 + 4;
/** Key id 1, nonce, at least the fixed part, tag. */
const SEALED_BYTES_MIN = 1 + NONCE_BYTES + FIXED_BYTES + TAG_BYTES;
/** A handle longer than this is opened anew each time, so that what is remembered stays small: with what their sessions began with, usual ones have 300 to 700 characters. */
const REMEMBERED_CHARS_MAX = 1_024;
/** Base64url without padding, as a token of RFC 9110; fromBase64 itself would skip blanks. */
const BASE64URL = /^[A-Za-z0-9_-]+$/;

/** A ring with one new key, held by nobody else. */
export function freshKeyRing(random: Runtime['random']): KeyRing {
  return { current: { id: 1, bytes: random.bytes(KEY_BYTES) }, older: [] };
}

/** A handle that was opened before, and for whom. */
interface Opened extends Binding {
  readonly handle: Handle;
}

/** Seals and opens handles of one worker. */
export class Sealer {
  readonly #tools: SealerTools;
  readonly #keys = new Map<number, Uint8Array>();
  #current: SealKey;
  /** Two generations of what was opened: when the younger is full, or old, it becomes the elder, and what nobody asked for since is forgotten. */
  #younger = new Map<string, Opened>();
  #elder = new Map<string, Opened>();
  #youngerEndsAt = 0;

  constructor(tools: SealerTools, ring: KeyRing) {
    this.#tools = tools;
    this.#current = ring.current;
    this.renew(ring);
  }

  /** Seals with the ring's current key from now on; opens what any of its keys sealed. */
  renew(ring: KeyRing): void {
    this.#current = ring.current;
    this.#keys.clear();
    for (const key of [...ring.older, ring.current]) {
      assert(
        key.bytes.length === KEY_BYTES && key.id >= 0 && key.id <= 255,
        'a key has 32 bytes and a byte as id',
      );
      this.#keys.set(key.id, key.bytes);
    }
    this.#younger.clear();
    this.#elder.clear();
  }

  /** The handle as visible ASCII. */
  seal(handle: Handle, binding: Binding): string {
    const { aead, random } = this.#tools;
    const nonce = random.bytes(NONCE_BYTES);
    const sealed = aead.seal(this.#current.bytes, nonce, pack(handle), boundBytes(binding));
    const whole = new Uint8Array(1 + NONCE_BYTES + sealed.length);
    whole[0] = this.#current.id;
    whole.set(nonce, 1);
    whole.set(sealed, 1 + NONCE_BYTES);
    const text = whole.toBase64({ alphabet: 'base64url', omitPadding: true });
    this.#remember(text, handle, binding);
    return text;
  }

  /** The handle in a client's text, or null: damaged, expired, sealed under an unknown key, for someone else or for another endpoint. */
  open(text: string, binding: Binding): Handle | null {
    const known = this.#younger.get(text);
    const handle = known !== undefined && isFor(known, binding) ? known.handle : this.#recall(text, binding);
    return handle === null || handle.expiresAtS * 1000 <= this.#tools.clock.wall() ? null : handle;
  }

  #recall(text: string, binding: Binding): Handle | null {
    const known = this.#elder.get(text);
    const handle = known !== undefined && isFor(known, binding) ? known.handle : this.#unseal(text, binding);
    if (handle !== null) this.#remember(text, handle, binding);
    return handle;
  }

  #unseal(text: string, binding: Binding): Handle | null {
    const bytes = bytesOf(text);
    if (bytes === null || bytes.length < SEALED_BYTES_MIN) return null;
    const key = this.#keys.get(bytes[0] ?? 0);
    if (key === undefined) return null;
    const nonce = bytes.subarray(1, 1 + NONCE_BYTES);
    const plain = this.#tools.aead.open(key, nonce, bytes.subarray(1 + NONCE_BYTES), boundBytes(binding));
    return plain === null ? null : unpack(plain);
  }

  #remember(text: string, handle: Handle, { endpoint, principal }: Binding): void {
    // A state comes back once.
    if (text.length > REMEMBERED_CHARS_MAX || handle.kind === 'state') return;
    const wall = this.#tools.clock.wall();
    if (this.#younger.size >= LIMITS.handlesRememberedMax / 2 || wall >= this.#youngerEndsAt) {
      this.#elder = this.#younger;
      this.#younger = new Map();
      this.#youngerEndsAt = wall + LIMITS.handlesRememberedMs;
    }
    this.#younger.set(text, { handle, endpoint, principal });
  }
}

function isFor(known: Binding, binding: Binding): boolean {
  return known.endpoint === binding.endpoint && known.principal === binding.principal;
}

/** Strictly one text for given bytes: no blanks, no other alphabet, no spare bits. */
function bytesOf(text: string): Uint8Array | null {
  if (!BASE64URL.test(text)) return null;
  try {
    // Strict decoding wants the padding that a token cannot carry.
    const padded = text + '='.repeat((4 - (text.length % 4)) % 4);
    return Uint8Array.fromBase64(padded, { alphabet: 'base64url', lastChunkHandling: 'strict' });
  } catch {
    return null;
  }
}

/** What the seal is bound to. Paths hold no NUL, and the principal is last: two bindings never give the same bytes. */
function boundBytes({ endpoint, principal }: Binding): Uint8Array {
  return encode(`sluice handle 1\0${endpoint}\0${principal}`);
}

function pack(handle: Handle): Uint8Array {
  const inner = encode(handle.inner);
  const bytes = new Uint8Array(FIXED_BYTES + inner.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, KINDS.indexOf(handle.kind));
  view.setUint8(1, handle.worker);
  view.setUint16(2, handle.node);
  view.setUint32(4, handle.generation);
  view.setUint32(8, handle.expiresAtS);
  bytes.set(inner, FIXED_BYTES);
  return bytes;
}

/** Null for what a later version of the gateway may have sealed. */
function unpack(bytes: Uint8Array): Handle | null {
  if (bytes.length < FIXED_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const kind = KINDS[view.getUint8(0)];
  if (kind === undefined || kind === '') return null;
  return {
    kind,
    worker: view.getUint8(1),
    node: view.getUint16(2),
    generation: view.getUint32(4),
    expiresAtS: view.getUint32(8),
    inner: decode(bytes.subarray(FIXED_BYTES)),
  };
}
