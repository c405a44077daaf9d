// Builds and runs the C++ tests: `bun scripts/native-test.ts [--asan] [--ubsan] [--tsan]`.
// Called by people, .ci/run and test/native. Promises: exit code 0 only when every check holds; --asan brings UBSan along.
import { buildNative, type NativeFlag } from './native-build.ts';

const wanted = new Set(process.argv.slice(2));
const unknown = [...wanted].find((flag) => !['--asan', '--ubsan', '--tsan'].includes(flag));
if (unknown !== undefined) {
  console.error(`Cannot use "${unknown}": the flags are --asan, --ubsan and --tsan`);
  process.exit(2);
}

const sanitizers: NativeFlag[] = [];
if (wanted.has('--asan')) sanitizers.push('asan');
if (wanted.has('--asan') || wanted.has('--ubsan')) sanitizers.push('ubsan');
if (wanted.has('--tsan')) sanitizers.push('tsan');

const { path, failure } = buildNative({
  target: 'sluice_tests',
  folder: ['tests', ...sanitizers].join('-'),
  flags: ['tests', ...sanitizers],
  clang: sanitizers.length > 0,
});
if (path === null) {
  console.error(`Cannot build the native tests: ${failure}`);
  process.exit(1);
}
const done = Bun.spawnSync([path], { stdout: 'inherit', stderr: 'inherit' });
process.exit(done.exitCode);
