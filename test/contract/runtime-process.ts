// A program that uses a runtime as a gateway would, for tests that need a process of their own.
// Called by runtime-machine.ts: `bun runtime-process.ts MODE`, on Node bundled. Promises: says what it did in JSON lines on stdout.
import { createRuntime } from '../../src/runtime/create.ts';
import { ChildRecorder, pattern, text } from './runtime-recorders.ts';

const runtime = await createRuntime();
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
  /** Two threads that listen, each with a client that waits; `exit` ends the process with code 7. */
  threads() {
    let asked = 0;
    for (let count = 0; count < 2; count++) {
      const worker = runtime.startWorker(new URL('./runtime-thread.js', import.meta.url).href, {
        onMessage(message) {
          if (message === 'ready') worker.post('listen');
          if (typeof message === 'number')
            void fetch(`http://127.0.0.1:${message}/never`).catch(() => undefined);
          if (message === 'asked' && ++asked === 2) say('serving');
        },
        onExit: () => undefined,
      });
    }
    process.stdin.on('data', () => process.exit(7));
  },
  /** A far timer must not keep the process alive. */
  timer() {
    runtime.clock.after(600_000, () => say('fired'));
    runtime.clock.soon(() => say('soon'));
  },
};

MODES[process.argv[2] ?? '']?.();
