// Builds one of the C++ programs of native/test, each variant in a folder of its own, so that the addon that is in use stays as it is.
// Called by native-test.ts and fuzz.ts. Promises: gyp and make decide what is out of date; a missing tool is named with the
// command that installs it.
import { join } from 'node:path';

const root = join(import.meta.dir, '..');
const INSTALL = 'apt-get install -y clang libclang-rt-14-dev';

/** gyp variables of binding.gyp that a build may set to 1. */
export type NativeFlag = 'tests' | 'fuzz' | 'asan' | 'ubsan' | 'tsan';

/** What to build: a target of binding.gyp, its flags, the folder under build/, and whether it must be clang that builds it. */
export interface NativeBuild {
  readonly target: string;
  readonly folder: string;
  readonly flags: readonly NativeFlag[];
  readonly clang: boolean;
}

/** Either the path of the program, or why there is none. */
export type NativeProgram =
  | { readonly path: string; readonly failure: null }
  | { readonly path: null; readonly failure: string };

function run(command: string[], env: Record<string, string>): { ok: boolean; output: string } {
  try {
    const done = Bun.spawnSync(command, {
      cwd: root,
      env: { ...process.env, ...env },
      stdout: 'pipe',
      stderr: 'pipe',
    });
    return { ok: done.exitCode === 0, output: `${done.stdout}${done.stderr}` };
  } catch (thrown) {
    return { ok: false, output: String(thrown) };
  }
}

/** Builds the target; prints nothing unless it fails. */
export function buildNative(build: NativeBuild): NativeProgram {
  if (build.clang && Bun.which('clang++') === null)
    return { path: null, failure: `clang++ is not installed: ${INSTALL}` };
  for (const tool of ['make', 'python3', 'node']) {
    if (Bun.which(tool) === null)
      return { path: null, failure: `${tool} is not installed: apt-get install -y ${tool}` };
  }
  const compilers: Record<string, string> = build.clang
    ? { CC: 'clang', CXX: 'clang++', LINK: 'clang++' }
    : {};
  const gyp = join(root, 'node_modules/node-gyp/gyp/gyp_main.py');
  const folder = join('build', build.folder);
  const configured = run(
    [
      'python3',
      gyp,
      'binding.gyp',
      '-f',
      'make',
      '--depth=.',
      `--generator-output=${folder}`,
      '-Goutput_dir=.',
      '--no-parallel',
      ...build.flags.map((flag) => `-D${flag}=1`),
    ],
    compilers,
  );
  if (!configured.ok) return { path: null, failure: `gyp fails\n${configured.output}` };
  const made = run(['make', '-C', folder, '-j2', build.target], compilers);
  if (!made.ok) {
    const hint = /cannot find .*clang_rt|libclang_rt/.test(made.output) ? `${INSTALL}\n` : '';
    return { path: null, failure: `${hint}make fails\n${made.output.slice(-8000)}` };
  }
  return { path: join(root, folder, 'Default', build.target), failure: null };
}
