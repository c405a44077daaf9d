// Fuzzes the native code with libFuzzer, ASan and UBSan: `npm run fuzz [-- --seconds N]` (30 by default).
// Called by people and .ci/run. Promises: bounded in time; a canary must be found first, so that a run that finds nothing is known
// to have looked; what breaks is kept in build/fuzz/ and replayed by `build/fuzz-asan-ubsan/Default/sluice_fuzz FILE`.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CORPUS, VERDICTS } from '../test/contract/scanner-corpus.ts';
import { buildNative } from './native-build.ts';

const root = join(import.meta.dir, '..');
const folder = join(root, 'build/fuzz');

/** Pieces that a fuzzer would need long to find by itself. */
const WORDS = [
  '"jsonrpc"',
  '"2.0"',
  '"id"',
  '"method"',
  '"params"',
  '"_meta"',
  '"ref"',
  '"result"',
  '"error"',
  '\\\\u00',
  'HTTP/1.1 200 OK\\x0d\\x0a',
  'Content-Length: ',
  'Transfer-Encoding: chunked',
  '\\x0d\\x0a\\x0d\\x0a',
  'data: ',
  'event: ',
  'retry: ',
  '"tools/call"',
  '"name"',
  'a__b__',
  'x___',
  'a+b+',
  '\\xed\\xa0\\x80',
  '\\xf4\\x90\\x80\\x80',
];

function seconds(args: readonly string[]): number {
  const [flag, value, ...rest] = args;
  if (flag === undefined) return 30;
  const number = Number(value);
  if (flag === '--seconds' && rest.length === 0 && Number.isInteger(number) && number > 0) return number;
  console.error(`Cannot use "${args.join(' ')}": say --seconds N`);
  process.exit(2);
}

function fuzz(program: string, args: string[], canary: boolean): number {
  const output = canary ? 'ignore' : 'inherit';
  const env = canary ? { ...process.env, SLUICE_FUZZ_CANARY: '1' } : process.env;
  return Bun.spawnSync([program, ...args], { cwd: root, env, stdout: output, stderr: output }).exitCode;
}

const limit = seconds(process.argv.slice(2));
const { path, failure } = buildNative({
  target: 'sluice_fuzz',
  folder: 'fuzz-asan-ubsan',
  flags: ['fuzz', 'asan', 'ubsan'],
  clang: true,
});
if (path === null) {
  console.error(`Cannot build the fuzzer: ${failure}`);
  process.exit(1);
}
const seeds = join(folder, 'seeds');
mkdirSync(seeds, { recursive: true });
mkdirSync(join(folder, 'corpus'), { recursive: true });
const texts = [
  ...CORPUS,
  ...VERDICTS.map(([, text]) => text),
  'HTTP/1.1 200 OK\r\nA: b\r\n\r\n',
  'id: 1\r\ndata: x\n\n: c\r\r',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__b__c"}}',
];
for (const [index, text] of texts.entries()) {
  if (text.length <= 4096)
    writeFileSync(join(seeds, String(index)), typeof text === 'string' ? text : Uint8Array.from(text));
}
writeFileSync(join(folder, 'words'), WORDS.map((word) => `"${word.replaceAll('"', '\\"')}"\n`).join(''));

// The fuzzer has to come upon the canary by itself, from an empty corpus.
if (fuzz(path, ['-max_total_time=60', '-max_len=16', `-artifact_prefix=${folder}/canary-`], true) === 0) {
  console.error('Cannot trust the fuzzer: it did not find the canary in 60 s');
  process.exit(1);
}
console.log(`the canary is found; fuzzing for ${limit} s`);
const code = fuzz(
  path,
  [
    join(folder, 'corpus'),
    seeds,
    `-max_total_time=${limit}`,
    '-max_len=4096',
    '-timeout=10',
    '-rss_limit_mb=2048',
    '-print_final_stats=1',
    '-verbosity=0',
    `-dict=${join(folder, 'words')}`,
    `-artifact_prefix=${folder}/`,
  ],
  false,
);
console.log(code === 0 ? 'fuzz: nothing found' : 'fuzz: FAILED; the input is in build/fuzz/');
process.exit(code);
