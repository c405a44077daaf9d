// The simulated world in which the runtime's contract suite runs: virtual time, scripted peers and programs.
// Called by runtime.test.ts. Promises: peers and programs act as those of the real world (runtime-real.ts) do.
import type { Transport } from '../../src/runtime/runtime.ts';
import { createSimRuntime, type SimOptions } from '../../src/runtime/sim.ts';
import type { Program } from '../../src/runtime/sim-child.ts';
import { FLOOD_BYTES, type ProgramName, UNTIL_MS, type World } from './runtime-real.ts';

/** What a sim of the suite may be told. */
export interface SimWorldOptions extends Partial<Omit<SimOptions, 'seed'>> {
  readonly transport?: Transport;
}

/** The sim: virtual time, scripted peers and programs. */
export function simWorld(seed = 1, options: SimWorldOptions = {}): World {
  const { transport = 'uwebsockets', ...wire } = options;
  const runtime = createSimRuntime({ seed, ...wire });
  for (const [name, program] of Object.entries(simPrograms)) runtime.program(name, program);
  return {
    runtime,
    transport,
    takesChunks: true,
    async until(claim, holds) {
      for (let step = 0; step < UNTIL_MS; step++) {
        if (holds()) return;
        await runtime.advance(1);
      }
      if (!holds()) throw new Error(`never came true: ${claim}`);
    },
    pass: (ms) => runtime.advance(ms),
    async accept(accept) {
      const address = { host: '127.0.0.1', port: 7000 + Math.floor(runtime.random.fraction() * 1000) };
      runtime.accept(address, accept);
      return address;
    },
    nowhere: { host: '127.0.0.1', port: 1 },
    program: (name) => ({ command: name, args: [], cwd: null, env: {} }),
    close: () => Promise.resolve(),
  };
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

const simPrograms: Record<ProgramName, Program> = {
  echo: (io) => ({ onStdin: (bytes) => io.stdout(bytes), onStdinEnd: () => io.exit(0) }),
  exit7: (io) => {
    io.clock.after(1, () => io.exit(7));
    return { onStdin: () => undefined, onStdinEnd: () => undefined };
  },
  flood: (io) => {
    io.clock.after(1, () => {
      for (let sent = 0; sent < FLOOD_BYTES; sent += 10_000) io.stdout(text('x'.repeat(10_000)));
      io.exit(0);
    });
    return { onStdin: () => undefined, onStdinEnd: () => undefined };
  },
  deaf: (io) => {
    let count = 0;
    io.pauseStdin();
    io.clock.after(200, () => io.resumeStdin());
    return {
      onStdin: (bytes) => {
        count += bytes.length;
      },
      onStdinEnd: () => {
        io.stdout(text(`${count}\n`));
        io.exit(0);
      },
    };
  },
  stubborn: (io) => {
    io.clock.after(1, () => io.stdout(text('ready\n')));
    return { onStdin: () => undefined, onStdinEnd: () => undefined, onSignal: () => true };
  },
  stderr: (io) => {
    io.clock.after(1, () => {
      io.stdout(text('out\n'));
      io.stderr(text('err\n'));
      io.exit(0);
    });
    return { onStdin: () => undefined, onStdinEnd: () => undefined };
  },
};
