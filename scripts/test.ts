// The tests: `npm test [-- FILE …]`. With SLUICE_RUNTIME=node those in which the runtime makes a difference, with the gateway on Node: the runtime's contract inside Node and
// all end-to-end tests. Called by people and by .ci/run. Promises: `bun test` does the work and its exit code is this one's; dist/node/ is made first where Node is to run.
import { join } from 'node:path';
import { buildForNode } from '../test/fixtures/node-build.ts';

const ROOT = join(import.meta.dir, '..');
/** Paths, not names: `bun test` takes a bare word for a part of a path. */
const ON_NODE = ['./test/contract/runtime-node.test.ts', './test/e2e/'];

const args = process.argv.slice(2);
const isOnNode = process.env.SLUICE_RUNTIME === 'node';
if (isOnNode) await buildForNode();
const isWhole = args.length === 0;
const files = isOnNode && !args.some((arg) => !arg.startsWith('-')) ? ON_NODE : [];
/** Most of the time of the end-to-end tests is waiting for processes. */
const parallel = isWhole ? ['--parallel=3'] : [];
const child = Bun.spawn([process.execPath, 'test', ...parallel, ...args, ...files], {
  cwd: ROOT,
  stdio: ['inherit', 'inherit', 'inherit'],
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
process.exitCode = await child.exited;
