// Files in memory, for tests of control/ and cli/.
// Called by tests only. Promises: a missing file rejects with ENOENT, as the real ones do.
import type { Files } from '../../../src/runtime/runtime.ts';

/** Files whose texts are given by absolute path. */
export function memoryFiles(texts: Readonly<Record<string, string>>): Files {
  return {
    readText: (path) => {
      const text = texts[path];
      if (text !== undefined) return Promise.resolve(text);
      return Promise.reject(Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' }));
    },
    writeText: () => Promise.resolve(),
    makePrivateFolder: () => Promise.resolve(),
    createPrivate: () => Promise.resolve(),
    rename: () => Promise.resolve(),
    remove: () => Promise.resolve(),
    exists: (path) => Promise.resolve(texts[path] !== undefined),
    watch: () => () => undefined,
  };
}
