// The sim's threads, and what its network does to bytes: messages in order, an end that takes everything along, shared ports, cuts, silence.
// Called by bun test.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { concat } from '../../../src/base/bytes.ts';
import type { ListenOptions, Port, Runtime, Socket, SocketHandler } from '../../../src/runtime/runtime.ts';
import { createSimRuntime, type SimRuntime } from '../../../src/runtime/sim.ts';

const MODULE = 'file:///thread.ts';

const QUIET: SocketHandler = {
  onOpen: () => undefined,
  onData: () => undefined,
  onDrain: () => undefined,
  onEnd: () => undefined,
  onClose: () => undefined,
  onConnectError: () => undefined,
};

const LISTEN: ListenOptions = {
  transport: 'uwebsockets',
  ...{ host: '127.0.0.1', port: 80, reusePort: true, bodyBytesMax: 1000, idleTimeoutMs: 5000 },
  ...{ tls: null, http2: false, http3: false },
};

/** Starts a thread, and keeps what comes of it. */
function start(sim: SimRuntime, main: (runtime: Runtime) => void) {
  sim.thread(MODULE, main);
  const heard: unknown[] = [];
  const exits: (string | null)[] = [];
  const handle = sim.startWorker(MODULE, {
    onMessage: (message) => heard.push(message),
    onExit: (error) => exits.push(error),
  });
  return { handle, heard, exits };
}

describe('threads', () => {
  test('hear messages in order, as copies, from before they listened too, and answer', async () => {
    const sim = createSimRuntime({ seed: 1 });
    const given = { deep: [1] };
    const { handle, heard } = start(sim, (runtime) => {
      runtime.clock.after(20, () => {
        runtime.scope?.onMessage((message) => runtime.scope?.post({ got: message }));
      });
    });
    for (let i = 0; i < 20; i++) handle.post(i);
    handle.post(given);
    given.deep.push(2);
    await sim.advance(100);
    expect(heard).toEqual([...Array.from({ length: 20 }, (_, got) => ({ got })), { got: { deep: [1] } }]);
  });

  test('share memory, and speak over lines that move to them', async () => {
    const sim = createSimRuntime({ seed: 2 });
    const { handle } = start(sim, (runtime) => {
      runtime.scope?.onMessage((message, ports) => {
        const cells = new Int32Array(message as SharedArrayBuffer);
        cells[0] = 7;
        ports[0]?.onMessage((said) => ports[0]?.post(`${String(said)}, too`));
      });
    });
    const cells = new Int32Array(new SharedArrayBuffer(4));
    const [near, far]: readonly [Port, Port] = sim.channel();
    const heard: unknown[] = [];
    near.onMessage((message) => heard.push(message));
    near.post('early');
    handle.post(cells.buffer, [far]);
    await sim.advance(50);
    expect([cells[0], heard]).toEqual([7, ['early, too']]);
    near.close();
    near.post('late');
    await sim.advance(50);
    expect(heard.length).toBe(1);
  });

  test('have clocks and randomness of their own', async () => {
    const sim = createSimRuntime({ seed: 3 });
    const { heard } = start(sim, (runtime) => {
      runtime.scope?.post([runtime.clock.now(), runtime.random.fraction()]);
    });
    sim.startWorker(MODULE, { onMessage: (message) => heard.push(message), onExit: () => undefined });
    await sim.advance(50);
    expect(new Set((heard as number[][]).flat()).size).toBe(4);
  });

  for (const how of ['is ended', 'throws'] as const)
    test(`one that ${how} takes along what it had: timers, connections, listeners, processes`, async () => {
      const sim = createSimRuntime({ seed: 4 });
      const late: string[] = [];
      const closed: (string | null)[] = [];
      sim.program('idle', () => ({
        onStdin: () => undefined,
        onStdinEnd: () => undefined,
        onSignal: () => true,
      }));
      sim.accept({ host: '', port: 9 }, () => ({ ...QUIET, onClose: (error) => closed.push(error) }));
      const { handle, exits } = start(sim, (runtime) => {
        runtime.listen(LISTEN, () => ({ status: 204, headers: {}, body: null }));
        runtime.connect({ host: '', port: 9 }, null, { ...QUIET, onClose: () => late.push('socket') });
        const spawn = { command: 'idle', args: [], cwd: null, env: {} };
        runtime.spawn(spawn, {
          onStdout: () => undefined,
          onStderr: () => undefined,
          onDrain: () => undefined,
          onExit: () => late.push('process'),
        });
        runtime.clock.after(1_000, () => late.push('timer'));
        if (how === 'throws')
          runtime.clock.after(20, () => {
            throw new Error('boom');
          });
      });
      await sim.advance(10);
      expect(sim.threads()[0]).toMatchObject({ alive: true, sockets: 1, listeners: 1, children: 1 });
      expect(sim.census()).toMatchObject({ sockets: 2, places: 2, children: 1 });
      if (how === 'is ended') handle.terminate();
      await sim.advance(5_000);
      expect(late).toEqual([]);
      expect(closed).toEqual(['ECONNRESET: connection reset by peer, read']);
      expect(sim.census()).toEqual({ sockets: 0, places: 1, children: 0, events: 0 });
      expect(exits.length).toBe(1);
      expect(String(exits[0]).includes('boom')).toBe(how === 'throws');
      expect(sim.threadFaults.length).toBe(how === 'throws' ? 1 : 0);
      expect(sim.threads()[0]).toMatchObject({ alive: false, timers: [] });
    });

  test('several listen on one port when all ask for it, and each gets some of the connections', async () => {
    const sim = createSimRuntime({ seed: 5 });
    const served = new Map<number, number>();
    let count = 0;
    const serve = (runtime: Runtime): void => {
      const own = ++count;
      runtime.listen(LISTEN, () => {
        served.set(own, (served.get(own) ?? 0) + 1);
        return { status: 204, headers: {}, body: null };
      });
    };
    const { handle } = start(sim, serve);
    sim.startWorker(MODULE, { onMessage: () => undefined, onExit: () => undefined });
    await sim.advance(5);
    expect(() =>
      sim.listen({ ...LISTEN, reusePort: false }, () => ({ status: 204, headers: {}, body: null })),
    ).toThrow();
    for (let i = 0; i < 40; i++) sim.request(80, { method: 'GET', path: '/' });
    await sim.advance(50);
    expect([served.size, [...served.values()].reduce((sum, one) => sum + one, 0)]).toEqual([2, 40]);
    handle.terminate();
    await sim.advance(5);
    const reply = sim.request(80, { method: 'GET', path: '/' });
    await sim.advance(50);
    expect(reply.state).toBe('whole');
  });
});

describe('the network', () => {
  test('cuts and joins what is written, and changes no byte and no order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.array(fc.nat(3_000), { minLength: 1, maxLength: 20 }),
        async (seed, sizes) => {
          const sim = createSimRuntime({ seed, splitShare: 0.5, joinShare: 0.5, windowBytes: 2_000 });
          const pieces: Uint8Array[] = [];
          const all = concat(sizes.map((size, index) => new Uint8Array(size).fill(index + 1)));
          let ended = 0;
          sim.accept({ host: '', port: 9 }, () => ({
            ...QUIET,
            onData: (bytes) => pieces.push(bytes),
            onEnd: () => ended++,
          }));
          let at = 0;
          let wire: Socket | null = null;
          const write = (): void => {
            while (wire !== null && at < all.length) {
              const taken = wire.write(all, at, Math.min(all.length, at + 700));
              if (taken <= 0) return;
              at += taken;
            }
            wire?.end();
          };
          sim.connect({ host: '', port: 9 }, null, {
            ...QUIET,
            onOpen: (socket) => {
              wire = socket;
              write();
            },
            onDrain: write,
          });
          await sim.runUntilIdle();
          expect(Buffer.compare(concat(pieces), all)).toBe(0);
          expect([ended, sim.census().sockets]).toEqual([1, 0]);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a half-close is an end to the other side, whose answer still arrives', async () => {
    const sim = createSimRuntime({ seed: 1 });
    const heard: string[] = [];
    sim.accept({ host: '', port: 9 }, (socket) => ({
      ...QUIET,
      onOpen: () => socket.halfClose(),
      onData: (bytes) => heard.push(`server ${bytes.length}`),
      onClose: () => heard.push('server closed'),
    }));
    sim.connect({ host: '', port: 9 }, null, {
      ...QUIET,
      onOpen: (socket) => void socket.write(new Uint8Array(3), 0, 3),
      onEnd: () => heard.push('end'),
      onClose: () => heard.push('closed'),
    });
    await sim.runUntilIdle();
    expect(heard.sort()).toEqual(['closed', 'end', 'server 3', 'server closed']);
  });

  test('who connects to a host that swallows packets hears of it after two minutes, and not before', async () => {
    const sim = createSimRuntime({ seed: 1 });
    const address = { host: '', port: 9 };
    const heard: string[] = [];
    const stop = sim.silence(address);
    sim.connect(address, null, { ...QUIET, onConnectError: (error) => heard.push(error) });
    await sim.advance(120_000);
    stop();
    expect(heard).toEqual([]);
    await sim.advance(10_000);
    expect(heard).toEqual(['ETIMEDOUT: Failed to connect']);
  });
});
