// A number for a text, where what is kept of it must take up little and hold nothing else: a part cut out of a string keeps the whole string alive.
// Called by bridge/, and upstream/ for its hashes. Promises: pure; 53 bits; no secret, and nothing but consistency may hang on it: texts can be found that share one.

/** Two hashes of 32 bits over the UTF-16 units (FNV-1a, and a second one by another multiplier), each mixed at the end. */
export function digest(text: string): number {
  let low = 0x811c_9dc5;
  let high = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    low = Math.imul(low ^ unit, 0x0100_0193);
    high = Math.imul(high ^ unit, 0x85eb_ca6b) + 0x27d4;
  }
  return (mixed(high) >>> 11) * 2 ** 32 + mixed(low);
}

/** 32 bits, each spread over all others (the finalizer of MurmurHash3). */
export function mixed(hash: number): number {
  let value = hash ^ (hash >>> 16);
  value = Math.imul(value, 0x85eb_ca6b);
  value ^= value >>> 13;
  value = Math.imul(value, 0xc2b2_ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
