// A program that uses the Bun runtime as a gateway would, for tests that need a process of their own.
// Called by runtime-bun.test.ts: `bun runtime-process.ts MODE`. Promises: says what it did in JSON lines on stdout.
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { ChildRecorder, pattern, text } from './runtime-recorders.ts';

const runtime = createBunRuntime();
const say = (value: unknown): void => runtime.standard.writeStdout(text(`${JSON.stringify(value)}\n`));

/** A child that ignores TERM and its stdin, with a grandchild of the same kind. */
const STUBBORN = `trap '' TERM HUP INT; sh -c "trap '' TERM HUP INT; echo grandchild; while :; do sleep 0.1; done" & echo child; while :; do sleep 0.1; done`;

function orphans(): void {
  const env = { PATH: process.env.PATH ?? '' };
  const recorders = [0, 1, 2].map(() => {
    const recorder = new ChildRecorder();
    runtime.spawn({ command: '/bin/sh', args: ['-c', STUBBORN], cwd: null, env }, recorder);
    return recorder;
  });
  const look = (): void => {
    if (recorders.every((one) => one.out.includes('grandchild') && one.out.includes('child\n')))
      say('running');
    else setTimeout(look, 10);
  };
  look();
  process.stdin.on('data', (command) => {
    if (String(command).trim() === 'exit') process.exit(0);
    if (String(command).trim() === 'throw') throw new TypeError('expected by this test');
  });
}

const MODES: Readonly<Record<string, () => void>> = {
  orphans,
  /** 4 MiB to a reader that may be slow, and out at once. */
  stdout() {
    runtime.standard.writeStdout(pattern(4 * 1024 * 1024));
    runtime.standard.writeStderr(text('last words\n'));
    process.exit(0);
  },
  stdin() {
    let count = 0;
    runtime.standard.readStdin(
      (bytes) => {
        count += bytes.length;
      },
      () => say({ count }),
    );
  },
  /** A far timer must not keep the process alive. */
  timer() {
    runtime.clock.after(600_000, () => say('fired'));
    runtime.clock.soon(() => say('soon'));
  },
};

MODES[process.argv[2] ?? '']?.();
