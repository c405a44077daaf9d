// JSON Merge Patch (RFC 7396).
// Called by live-registry.ts. Promises: pure; a null takes a key away, a mapping is merged, anything else replaces.
import { isMapping } from './rows.ts';

/** The target with the patch in it. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isMapping(patch)) return patch;
  const merged = new Map(isMapping(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, mergePatch(merged.get(key), value));
  }
  return Object.fromEntries(merged);
}
