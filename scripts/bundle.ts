// Puts the program into few files: src/ and what it imports → build/app/, which starts in less time than the sources (docs/decisions/0023-bundle.md), or with the
// argument `node` → dist/node/, which is what runs on Node (0039-node.md). Run by scripts/install.mjs, `npm run bundle` and `npm run build:node`, on the Bun that bin/sluice finds.
// Promises: the folder appears whole or not at all; its stamp is as new as the newest source that went into it, and on Bun bin/sluice takes the sources
// when one is newer; exit code 1 with one line when there is no bundle.
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { BunPlugin } from 'bun';

const root = join(import.meta.dir, '..');
const target = process.argv[2] === 'node' ? 'node' : 'bun';
/** Two folders deep, so that the addon lies where it does seen from a source. */
const app = join(root, target === 'node' ? 'dist/node' : 'build/app');
/** Made here and moved when it is complete: what is half there is never started. */
const fresh = `${app}-${process.pid}`;

/** When a source, a folder of sources or package.json was last changed: wall clock in ms. A folder changes when a file comes or goes. */
function newestMs(): number {
  const inside = readdirSync(join(root, 'src'), { recursive: true }).map((path) => join('src', String(path)));
  const times = ['package.json', 'src', ...inside].map((path) => statSync(join(root, path)).mtimeMs);
  return Math.max(...times);
}

/**
 * hyperid draws its beginning through node:crypto, whose loading costs each thread 7 ms. The package brings a twin of that file over the standard
 * `crypto` (its own `browser` field says so), which Bun has without loading anything.
 */
const standardCrypto: BunPlugin = {
  name: 'hyperid on the standard crypto',
  setup(build) {
    build.onResolve({ filter: /^\.\/uuid-node$/ }, ({ importer }) => ({
      path: join(dirname(importer), 'uuid-browser.js'),
    }));
  },
};

/** For Node the bundler takes a package's `main`, and that of jsonc-parser is of a kind (UMD) in which it finds no imports. */
const modules: BunPlugin = {
  name: 'jsonc-parser as modules',
  setup(build) {
    const main = Bun.resolveSync('jsonc-parser', root);
    build.onResolve({ filter: /^jsonc-parser$/ }, () => ({ path: join(dirname(main), '../esm/main.js') }));
  },
};

async function bundle(): Promise<void> {
  const newest = newestMs();
  mkdirSync(fresh, { recursive: true });
  await Bun.build({
    entrypoints: [join(root, 'src/main.ts'), join(root, 'src/thread.ts')],
    outdir: fresh,
    target,
    format: 'esm',
    // Threads and commands load only what they need, and share it.
    splitting: true,
    plugins: target === 'node' ? [standardCrypto, modules] : [standardCrypto],
    // Stacks name the sources; the maps are read only when there is one to print. Names stay whole: errors and logs show them.
    sourcemap: 'linked',
  });
  // The dashboard (0038-dashboard.md), which control/admin/assets.ts reads from beside itself.
  mkdirSync(join(fresh, 'ui'));
  // Here, so that sources that cannot be bundled are said in one line, whatever is wrong with them.
  const { bundlePage } = await import('../src/runtime/bun-page.ts');
  for (const { name, text } of await bundlePage(join(root, 'src/ui/index.html'), '/assets/'))
    writeFileSync(join(fresh, 'ui', name), text);
  if (newestMs() !== newest) throw new TypeError('the sources changed meanwhile');
  const stamp = join(fresh, 'stamp');
  writeFileSync(stamp, '');
  // A time of the future would hide changes until then. Times are kept in fractions of a second: rounded up, or the newest source would be newer.
  const stampMs = Math.ceil(Math.min(newest, Date.now())) + 1;
  utimesSync(stamp, stampMs / 1000, stampMs / 1000);
  rmSync(app, { recursive: true, force: true });
  renameSync(fresh, app);
}

try {
  await bundle();
} catch (thrown) {
  // The first of several faults says enough.
  const fault = thrown instanceof AggregateError ? (thrown.errors[0] ?? thrown) : thrown;
  console.error(String(fault).split('\n', 1)[0]);
  process.exitCode = 1;
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
