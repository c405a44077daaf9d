// The repository as the tidy checks see it: its files, read once.
// Called by tidy.test.ts. Promises: only what git would keep (build products, results and packages are left out), in a fixed order.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSource, type Source } from './source.ts';

/** The repository's root. */
export const ROOT = join(import.meta.dir, '..', '..');

/** Folders that hold no source of ours. */
const LEFT_OUT = new Set([
  'node_modules',
  '.git',
  'build',
  'dist',
  'out',
  'coverage',
  'results',
  'corpus',
  '.hg',
  '.cache',
]);

/** Every file's path below a folder, relative to the root, sorted. */
export function listFiles(folder = ''): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      if (!LEFT_OUT.has(entry.name)) found.push(...listFiles(path));
    } else if (entry.isFile()) found.push(path);
  }
  return found.sort();
}

/** Text of a file. */
export function readText(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** The files whose path matches, taken apart. */
export function readSources(paths: readonly string[], pattern: RegExp): Source[] {
  return paths.filter((path) => pattern.test(path)).map((path) => readSource(path, readText(path)));
}
