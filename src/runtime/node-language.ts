// What the language and its standard library have learnt since Node 20, as far as the gateway uses it.
// Imported by node.ts, before anything of it is used. Promises: what is there already stays; the rest does what its specification says: ECMAScript 2024 (withResolvers,
// groupBy), 2026 (Uint8Array to and from Base64 and hex), the WHATWG URL standard (URL.parse).

interface Base64Options {
  readonly alphabet?: 'base64' | 'base64url';
  readonly omitPadding?: boolean;
  readonly lastChunkHandling?: 'loose' | 'strict' | 'stop-before-partial';
}

/** Adds what is missing, as the engine would: not enumerable. */
function teach(to: object, name: string, value: unknown): void {
  if (name in to) return;
  Object.defineProperty(to, name, { value, writable: true, enumerable: false, configurable: true });
}

function bytesOf(array: Uint8Array): Buffer {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}

const BLANKS = /[\t\n\f\r ]/g;
const TEXT = Object.freeze({ base64: /^([A-Za-z0-9+/]*)(={0,2})$/, base64url: /^([A-Za-z0-9_-]*)(={0,2})$/ });

/** The specification wants a SyntaxError, and so do those who catch it: an error of ours would be another function. */
function refuse(reason: string): never {
  const refusal: unknown = new SyntaxError(reason);
  throw refusal;
}

/** Uint8Array.fromBase64 (ECMAScript 2026, 23.3.1.1), but for `stop-before-partial`, which nobody asks for. */
export function fromBase64(text: string, options: Base64Options = {}): Uint8Array {
  const { alphabet = 'base64', lastChunkHandling = 'loose' } = options;
  const [, digits = null, padding = ''] = TEXT[alphabet].exec(text.replace(BLANKS, '')) ?? [];
  const rest = (digits ?? '').length % 4;
  const isPadded = padding.length > 0;
  const isStrict = lastChunkHandling === 'strict';
  if (
    digits === null ||
    rest === 1 ||
    (isPadded && rest + padding.length !== 4) ||
    (isStrict && !isPadded && rest !== 0)
  )
    return refuse('the text is no Base64');
  // Buffer reads both alphabets.
  const bytes = Buffer.from(digits, 'base64');
  if (isStrict && bytes.toString(alphabet).replaceAll('=', '') !== digits)
    return refuse('the last digit of the Base64 has bits that mean nothing');
  return new Uint8Array(bytes);
}

/** Uint8Array.prototype.toBase64 (ECMAScript 2026, 23.3.2.1). */
export function toBase64(this: Uint8Array, options: Base64Options = {}): string {
  const { alphabet = 'base64', omitPadding = false } = options;
  const text = bytesOf(this).toString(alphabet);
  // Buffer pads the one alphabet and not the other.
  if (omitPadding) return text.replaceAll('=', '');
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=');
}

function toHex(this: Uint8Array): string {
  return bytesOf(this).toString('hex');
}

function withResolvers<T>(): PromiseWithResolvers<T> {
  let resolve: PromiseWithResolvers<T>['resolve'] = () => undefined;
  let reject: PromiseWithResolvers<T>['reject'] = () => undefined;
  const promise = new Promise<T>((resolves, rejects) => {
    resolve = resolves;
    reject = rejects;
  });
  return { promise, resolve, reject };
}

function parseUrl(text: string, base?: string | URL): URL | null {
  try {
    return new URL(text, base);
  } catch {
    return null;
  }
}

function groupBy<K, T>(items: Iterable<T>, keyOf: (item: T, index: number) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  let index = 0;
  for (const item of items) {
    const key = keyOf(item, index++);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}

teach(Promise, 'withResolvers', withResolvers);
teach(URL, 'parse', parseUrl);
teach(Map, 'groupBy', groupBy);
teach(Uint8Array, 'fromBase64', fromBase64);
teach(Uint8Array.prototype, 'toBase64', toBase64);
teach(Uint8Array.prototype, 'toHex', toHex);
