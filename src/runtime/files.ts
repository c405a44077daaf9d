// The few things done with files, on node:fs.
// Called by bun.ts and node.ts. Promises: runtime.ts's Files.
import { access, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { Files } from './runtime.ts';
import { watchFile } from './watch.ts';

/** The files of this machine. */
export const systemFiles: Files = {
  readText: (path) => readFile(path, 'utf8'),
  writeText: (path, text) => writeFile(path, text),
  async makePrivateFolder(path) {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },
  async createPrivate(path, text) {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
  },
  rename,
  remove: (path) => rm(path, { force: true }),
  exists: (path) =>
    access(path).then(
      () => true,
      () => false,
    ),
  watch: watchFile,
};
