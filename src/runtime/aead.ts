// Authenticated encryption through node:crypto: AES-256-GCM, whole and synchronous.
// Called by bun.ts, node.ts and sim.ts. Promises: runtime.ts's Aead; nothing is loaded before the first use, since node:crypto costs a thread
// 15 ms and 3 MB that one without sessions never needs. Source: NIST SP 800-38D.
import type { Aead } from './runtime.ts';

const CIPHER = 'aes-256-gcm';
const TAG_BYTES = 16;

type Crypto = ReturnType<typeof loadCrypto>;
let loaded: Crypto | null = null;

function loadCrypto() {
  return process.getBuiltinModule('node:crypto');
}

function library(): Crypto {
  loaded ??= loadCrypto();
  return loaded;
}

/** The same for every thread: it holds nothing but the library. */
export const systemAead: Aead = {
  seal(key, nonce, plain, bound) {
    const cipher = library().createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(bound);
    const sealed = new Uint8Array(plain.length + TAG_BYTES);
    // A counter mode: all of it comes from update, nothing from final.
    sealed.set(cipher.update(plain));
    cipher.final();
    sealed.set(cipher.getAuthTag(), plain.length);
    return sealed;
  },
  open(key, nonce, sealed, bound) {
    const length = sealed.length - TAG_BYTES;
    if (length < 0) return null;
    const decipher = library().createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(bound);
    decipher.setAuthTag(sealed.subarray(length));
    const plain = decipher.update(sealed.subarray(0, length));
    try {
      decipher.final();
    } catch {
      return null;
    }
    return new Uint8Array(plain.buffer, plain.byteOffset, plain.length);
  },
};
