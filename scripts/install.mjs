// Builds the native scanner, then the bundles: the one that starts faster than the sources, and the one for Node. Run by npm and bun as the root install script (plain JavaScript: on a bare machine Bun is not there
// yet), and by `npm run build:native`, which adds --require.
// Promises: without a compiler, or without a bundle, the install still succeeds, says so in one line, and leaves nothing of an older build behind;
// with --require only the scanner is built, and a failure shows everything and exits 1. A scanner that is up to date is not built again.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const addon = join(root, 'build/Release/sluice.node');
const stamp = join(root, 'build/sluice.stamp');
const required = process.argv.includes('--require');
/** It takes half a second. */
const BUNDLE_MS_MAX = 60_000;
const require = createRequire(import.meta.url);

/** Ends the script, in an installation with the bundle. */
function finish() {
  if (!required) bundle();
  process.exit(0);
}

/** Puts the sources into few files; they serve by themselves where that fails. */
function bundle() {
  const app = join(root, 'build/app');
  rmSync(app, { recursive: true, force: true });
  const env = { ...process.env, SLUICE_ENTRY: join(root, 'scripts/bundle.ts') };
  const done = run('/bin/sh', [join(root, 'bin/sluice')], { env, timeout: BUNDLE_MS_MAX });
  if (!done.ok)
    console.log(
      `sluice: no bundle (${done.output.trim().split('\n', 1)[0]}); it starts from its sources, which takes longer.`,
    );
  if (!done.ok) return;
  const onNode = run('/bin/sh', [join(root, 'bin/sluice'), 'node'], { env, timeout: BUNDLE_MS_MAX });
  if (!onNode.ok) console.log(`sluice: nothing to run on Node (${onNode.output.trim().split('\n', 1)[0]}).`);
}

/** Ends the script: the portable scanner serves, unless the addon was required. */
function giveUp(reason, output) {
  rmSync(addon, { force: true });
  rmSync(stamp, { force: true });
  if (required) {
    if (output) process.stderr.write(`${output}\n`);
    console.error(`sluice: cannot build the native scanner (${reason})`);
    process.exit(1);
  }
  console.log(
    `sluice: no native scanner (${reason}); the portable one serves. Run \`npm run build:native\` after installing g++ and make.`,
  );
  finish();
}

/** Runs a program and keeps what it says. */
function run(program, args, options = {}) {
  const done = spawnSync(program, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    ...options,
  });
  const output = `${done.stdout ?? ''}${done.stderr ?? ''}${done.error ? String(done.error) : ''}`;
  return { ok: done.status === 0, output };
}

/** First words of the first program that answers to --version, or null. */
function version(program) {
  // CXX may hold arguments or a wrapper, as in "ccache g++".
  const done = run(`${program} --version`, [], { shell: true });
  return done.ok ? (done.output.split('\n', 1)[0] ?? '') : null;
}

/** Path of a file inside an installed package, or null. */
function packageFile(name, file) {
  try {
    return join(dirname(require.resolve(`${name}/package.json`)), file);
  } catch {
    return null;
  }
}

/** A real Node to run node-gyp with: this process when it is one, else the one on the PATH. */
function findNode() {
  if (!process.versions.bun) return process.execPath;
  const done = run('node', ['-p', "process.versions.bun ? '' : process.execPath"], { shell: false });
  const path = done.ok ? done.output.trim() : '';
  return path === '' ? null : path;
}

/** `--nodedir=PREFIX` when Node's headers lie beside Node itself; then node-gyp has nothing to fetch. */
function headers(node) {
  const wanted = process.env.npm_config_nodedir;
  const prefix = wanted ?? dirname(dirname(node));
  return wanted || existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];
}

/** Every file that the addon is made from, in a fixed order. */
function sources() {
  const files = readdirSync(join(root, 'native'), { recursive: true })
    .map(String)
    .filter((file) => /\.(cc|h)$/.test(file) && !file.startsWith('test'))
    .sort();
  return ['binding.gyp', 'scripts/install.mjs', ...files.map((file) => join('native', file))];
}

const node = findNode();
const gyp = packageFile('node-gyp', 'bin/node-gyp.js');
const simdjson = packageFile('@nozbe/simdjson', 'package.json');
const march = process.env.SLUICE_MARCH ?? '';
const cxx = process.env.CXX ?? 'g++';
const make = process.env.MAKE ?? 'make';

if (march !== '' && !/^[\w.+-]+$/.test(march))
  giveUp(`SLUICE_MARCH is "${march}": give native, x86-64-v3 or x86-64-v4`);
if (node === null) giveUp('node is not on the PATH');
if (gyp === null || !existsSync(gyp)) giveUp('the package node-gyp is not installed');
if (simdjson === null) giveUp('the package @nozbe/simdjson is not installed');
const compiler = version(cxx);
if (compiler === null) giveUp(`no C++ compiler: "${cxx} --version" fails`);
if (version(make) === null) giveUp(`no make: "${make} --version" fails`);

const inputs = createHash('sha256');
const flags = [
  process.env.CXXFLAGS,
  process.env.CPPFLAGS,
  process.env.LDFLAGS,
  process.platform,
  process.arch,
];
inputs.update(JSON.stringify([cxx, compiler, march, flags, readFileSync(simdjson, 'utf8')]));
for (const file of sources()) inputs.update(`\n${file}\n`).update(readFileSync(join(root, file)));
const hash = inputs.digest('hex');

if (existsSync(addon) && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) {
  if (required) console.log('sluice: the native scanner is up to date');
  finish();
}

console.log(`sluice: building the native scanner (${march === '' ? 'for any processor' : march}) …`);
const started = performance.now();
const defines = march === '' ? [] : ['--', `-Dmarch=${march}`];
const configured = run(node, [gyp, 'configure', ...headers(node), ...defines]);
if (!configured.ok) giveUp('node-gyp configure fails', configured.output);
const built = run(node, [gyp, 'build', '--jobs=2']);
if (!built.ok || !existsSync(addon)) giveUp('it does not compile', configured.output + built.output);
mkdirSync(dirname(stamp), { recursive: true });
writeFileSync(stamp, hash);
console.log(`sluice: native scanner built in ${((performance.now() - started) / 1000).toFixed(0)} s`);
finish();
