// The sim: virtual time, determinism, scripted peers, children and streams.
// Called by bun test.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { encode } from '../../../src/base/bytes.ts';
import { GatewayError } from '../../../src/base/errors.ts';
import type { SocketHandler } from '../../../src/runtime/runtime.ts';
import { createSimRuntime, type SimRuntime } from '../../../src/runtime/sim.ts';

const QUIET: SocketHandler = {
  onOpen: () => undefined,
  onData: () => undefined,
  onDrain: () => undefined,
  onEnd: () => undefined,
  onClose: () => undefined,
  onConnectError: () => undefined,
};

const LISTEN = {
  host: '127.0.0.1',
  port: 80,
  transport: 'uwebsockets' as const,
  reusePort: false,
  bodyBytesMax: 1000,
  idleTimeoutMs: 5000,
  tls: null,
  http2: false,
  http3: false,
};

describe('virtual time', () => {
  test('moves only when told, runs timers in order of time and then of making', async () => {
    const sim = createSimRuntime({ seed: 1 });
    const heard: string[] = [];
    for (const [ms, name] of [
      [50, 'c'],
      [10, 'a'],
      [10, 'b'],
    ] as const) {
      sim.clock.after(ms, () => heard.push(`${name}@${sim.clock.now()}`));
    }
    const wall = sim.clock.wall();
    await Bun.sleep(20);
    expect([heard, sim.clock.now()]).toEqual([[], 0]);
    await sim.advance(49.5);
    expect([heard, sim.clock.now()]).toEqual([['a@10', 'b@10'], 49.5]);
    await sim.advance(1);
    expect(heard.at(-1)).toBe('c@50');
    expect(sim.clock.wall() - wall).toBe(50);
  });

  test('time passes before a timer fires, however little was asked for', async () => {
    const sim = createSimRuntime({ seed: 1 });
    await sim.advance(2570.3);
    const start = sim.clock.now();
    let turns = 0;
    const until = start + 1e-13;
    const wait = (): void => {
      turns++;
      if (sim.clock.now() <= until) sim.clock.after(until - start + 1e-16, wait);
    };
    wait();
    await sim.advance(1);
    expect(turns).toBe(2);
  });

  test('promises settle between events', async () => {
    const sim = createSimRuntime({ seed: 1 });
    const heard: string[] = [];
    sim.clock.after(1, async () => {
      for (let i = 0; i < 20; i++) await Promise.resolve();
      heard.push('promises');
    });
    sim.clock.after(1, () => heard.push('next event'));
    await sim.runUntilIdle();
    expect(heard).toEqual(['promises', 'next event']);
  });

  test('any timers fire in order, cancelled ones never', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(50), fc.boolean()), { maxLength: 60 }), async (timers) => {
        const sim = createSimRuntime({ seed: 1 });
        const heard: number[] = [];
        const ids = timers.map(([ms], index) => sim.clock.after(ms, () => heard.push(index)));
        timers.forEach(([, cancelled], index) => {
          if (cancelled) sim.clock.cancel(ids[index] ?? 0);
        });
        await sim.runUntilIdle();
        const expected = timers
          .map(([ms, cancelled], index) => ({ ms, cancelled, index }))
          .filter((timer) => !timer.cancelled)
          .sort((a, b) => a.ms - b.ms || a.index - b.index);
        expect(heard).toEqual(expected.map((timer) => timer.index));
      }),
      { numRuns: 60 },
    );
  });
});

/** A little world with everything in it; returns what happened and when. */
async function play(seed: number): Promise<string[]> {
  const sim = createSimRuntime({ seed });
  const log: string[] = [];
  const note = (what: string): void => void log.push(`${sim.clock.now().toFixed(4)} ${what}`);
  sim.listen(LISTEN, (inbound) => {
    note(`request ${inbound.path}`);
    return inbound.readBody().then((body) => ({ status: 200, headers: {}, body }));
  });
  sim.accept({ host: 'peer', port: 9 }, (socket) => ({
    ...QUIET,
    onData: (bytes) => {
      note(`peer got ${bytes.length}`);
      if (sim.random.fraction() < 0.3) socket.destroy();
    },
  }));
  for (let i = 0; i < 10; i++) {
    sim.clock.after(sim.random.fraction() * 5, () => {
      sim.request(80, { method: 'POST', path: `/${i}`, body: sim.random.bytes(i) });
      sim.connect({ host: 'peer', port: 9 }, null, {
        ...QUIET,
        onOpen: (socket) => void socket.write(sim.random.bytes(100), 0, 100),
        onClose: (error) => note(`closed ${i} ${error}`),
      });
    });
  }
  await sim.advance(100);
  return log;
}

test('the same seed plays the same story, another seed another one', async () => {
  const first = await play(7);
  expect(first.length).toBeGreaterThan(20);
  expect(await play(7)).toEqual(first);
  expect(await play(8)).not.toEqual(first);
});

describe('listener', () => {
  test('request() shows the reply as it grows', async () => {
    const sim = createSimRuntime({ seed: 1 });
    sim.listen(LISTEN, () => ({
      status: 200,
      headers: { 'content-type': 'text/event-stream' },
      body: {
        open(sink) {
          sink.write(encode('one'));
          sim.clock.after(10, () => {
            sink.write(encode(' two'));
            sink.end();
          });
        },
      },
    }));
    const reply = sim.request(80, { method: 'GET', path: '/' });
    await sim.advance(5);
    expect([reply.state, reply.status, reply.text()]).toEqual(['streaming', 200, 'one']);
    await sim.advance(10);
    expect([reply.state, reply.text()]).toEqual(['whole', 'one two']);
  });

  test('an idle connection is closed after its time, a request under way is not', async () => {
    const sim = createSimRuntime({ seed: 1 });
    sim.listen(LISTEN, () => new Promise(() => undefined));
    const closed: string[] = [];
    sim.connect({ host: '', port: 80 }, null, { ...QUIET, onClose: () => closed.push('idle') });
    const pending = sim.request(80, { method: 'GET', path: '/' });
    await sim.advance(60_000);
    expect([closed, pending.state]).toEqual([['idle'], 'waiting']);
  });
});

describe('doors', () => {
  const throwsCode = (act: () => unknown): string => {
    try {
      act();
    } catch (thrown) {
      return thrown instanceof GatewayError ? thrown.code : 'not ours';
    }
    return 'nothing';
  };

  test('a thread of a module that nobody described is refused', () => {
    const sim = createSimRuntime({ seed: 1 });
    expect(
      throwsCode(() => sim.startWorker('file:///x', { onMessage: () => undefined, onExit: () => undefined })),
    ).toBe('GW_RUNTIME_WORKER');
    expect([sim.scope, sim.parallelism]).toEqual([null, 1]);
  });

  test('an address can be taken once, and again when it was let go', () => {
    const sim = createSimRuntime({ seed: 1 });
    const address = { unixPath: '/run/x' };
    const letGo = sim.accept(address, () => QUIET);
    expect(throwsCode(() => sim.accept(address, () => QUIET))).toBe('GW_RUNTIME_LISTEN');
    letGo();
    expect(throwsCode(() => sim.accept(address, () => QUIET))).toBe('nothing');
  });

  test('stdin is fed, stdout and stderr are kept', async () => {
    const sim: SimRuntime = createSimRuntime({ seed: 1 });
    const heard: string[] = [];
    sim.feedStdin(encode('early'));
    sim.standard.readStdin(
      (bytes) => heard.push(new TextDecoder().decode(bytes)),
      () => heard.push('end'),
    );
    sim.feedStdin(encode('late'));
    sim.feedStdin(null);
    await sim.runUntilIdle();
    expect(heard).toEqual(['early', 'late', 'end']);
    sim.standard.writeStdout(encode('a'));
    sim.standard.writeStdout(encode('b'));
    sim.standard.writeStderr(encode('c'));
    const { stdout, stderr } = sim.written();
    expect([new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)]).toEqual(['ab', 'c']);
  });
});
