// The upstream contract on every transport that needs no child process: http on real and simulated sockets, fetch, fake.
// Runs test/contract/upstream.ts; stdio joins in a file of its own.
import { decode } from '../../src/base/bytes.ts';
import { BreakerCell } from '../../src/memory/breaker-cell.ts';
import { createMemory, soloShape } from '../../src/memory/memory.ts';
import { SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { createSimRuntime, type SimRuntime } from '../../src/runtime/sim.ts';
import { chooseScanner } from '../../src/scan/scan.ts';
import { withBreaker } from '../../src/upstream/breaker.ts';
import { createFakeUpstream, type FakeReply } from '../../src/upstream/fake.ts';
import { createFetchUpstream } from '../../src/upstream/fetch.ts';
import { createHttpUpstream } from '../../src/upstream/http.ts';
import type { ServerSpec } from '../../src/upstream/spec.ts';
import type { Upstream } from '../../src/upstream/upstream.ts';
import { describeUpstream, type UpstreamKind, type WorldSettings } from './upstream.ts';
import { deedOf, listenRaw, RawServer, serveDeeds } from './upstream-server.ts';

function specFor(port: number, settings: WorldSettings): ServerSpec {
  const { connectionsMax = 64, ...rest } = settings;
  return {
    name: 'contract',
    target: {
      kind: 'http',
      client: 'http1',
      secure: false,
      host: '127.0.0.1',
      port,
      unixPath: null,
      path: '/mcp',
      url: `http://127.0.0.1:${port}/mcp`,
      headers: [],
      tls: { serverName: null, ca: null, cert: null, key: null, verify: true },
      connectionsMax,
    },
    forwardHeaders: [],
    connectTimeoutMs: 10_000,
    firstByteTimeoutMs: 20_000,
    replyIdleTimeoutMs: 20_000,
    totalTimeoutMs: 30_000,
    queueDepthMax: 100,
    breaker: null,
    era: 'auto',
    ...rest,
  };
}

/** Real time: looks again and again, for ten seconds. */
export async function untilReal(condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error('it did not happen within ten seconds');
    await Bun.sleep(1);
  }
}

async function untilSim(sim: SimRuntime, condition: () => boolean): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    if (turn > 20_000) throw new Error('it did not happen within twenty simulated seconds');
    await sim.advance(1);
  }
}

/** A kind over a raw server on real sockets. */
function overSockets(name: string, create: (spec: ServerSpec) => Upstream): UpstreamKind {
  return {
    name,
    era: 'modern',
    can: { half: true, queue: true, diesAlone: true, pause: true, session: null },
    make(settings) {
      const server = new RawServer();
      const release = serveDeeds(server);
      const listener = listenRaw(server);
      const upstream = create(specFor(listener.port, settings));
      return Promise.resolve({
        upstream,
        seen: () => server.requests.map(({ body }) => decode(body)),
        release,
        until: untilReal,
        async stop() {
          await upstream.close(0);
          listener.stop();
        },
      });
    },
  };
}

const runtime = createBunRuntime();

for (const preference of ['auto', 'portable'] as const) {
  const { scanner } = chooseScanner(preference);
  describeUpstream(
    overSockets(`http on real sockets, scanner ${preference}`, (spec) =>
      createHttpUpstream({ runtime, scanner, spec, log: SILENT }),
    ),
  );
}

describeUpstream(
  overSockets('http behind a breaker', (spec) => {
    const { scanner } = chooseScanner('auto');
    const memory = createMemory(soloShape(1, 0), runtime.clock.wall());
    // The suite fails calls on purpose, more than a server in service would: they must reach the upstream all the same.
    const settings = { failures: 255, sharePercent: 100, windowMs: 1, openMs: 1, trials: 1, trialMs: 1 };
    return withBreaker(createHttpUpstream({ runtime, scanner, spec, log: SILENT }), {
      cell: new BreakerCell(memory, 0, 0, settings),
      clock: runtime.clock,
      offsetMs: 0,
      onChange: () => undefined,
    });
  }),
);

describeUpstream(overSockets('fetch', (spec) => createFetchUpstream({ runtime, spec, log: SILENT })));

for (const windowBytes of [64 * 1024, 37]) {
  describeUpstream({
    name: `http on simulated sockets, window ${windowBytes}`,
    era: 'modern',
    can: { half: true, queue: true, diesAlone: true, pause: true, session: null },
    make(settings) {
      const sim = createSimRuntime({
        seed: 7,
        windowBytes: settings.connectionsMax === undefined ? 64 * 1024 : windowBytes,
      });
      const server = new RawServer();
      const release = serveDeeds(server);
      sim.accept({ host: '127.0.0.1', port: 99 }, (socket) => server.accept(socket));
      const upstream = createHttpUpstream({
        runtime: sim,
        scanner: chooseScanner('portable').scanner,
        spec: specFor(99, settings),
        log: SILENT,
      });
      return Promise.resolve({
        upstream,
        seen: () => server.requests.map(({ body }) => decode(body)),
        release,
        until: (condition) => untilSim(sim, condition),
        stop: () => Promise.resolve(),
      });
    },
  });
}

describeUpstream({
  name: 'fake',
  era: 'modern',
  can: { half: true, queue: false, diesAlone: true, pause: true, session: null },
  make(settings) {
    const sim = createSimRuntime({ seed: 1 });
    let gates: ((value: unknown) => void)[] = [];
    const upstream = createFakeUpstream({
      clock: sim.clock,
      firstByteTimeoutMs: settings.firstByteTimeoutMs ?? 0,
      script(sent): FakeReply {
        const deed = deedOf(decode(sent.body));
        if (deed.kind === 'accept') return { status: 202 };
        if (deed.kind === 'hang') return { hang: true };
        if (deed.kind === 'die') return { fail: 'GW_UPSTREAM_CLOSED' };
        if (deed.kind === 'half')
          return { body: [deed.text.slice(0, 5)], fail: 'GW_UPSTREAM_CLOSED', failLate: true };
        if (deed.kind === 'hold')
          return { body: deed.text, until: new Promise((resolve) => gates.push(resolve)) };
        if (deed.kind === 'answer') return { body: deed.text };
        const events = [...deed.notes, deed.text].map((text) => `event: message\ndata: ${text}\n\n`);
        return { headers: { 'content-type': 'text/event-stream' }, body: events };
      },
    });
    return Promise.resolve({
      upstream,
      seen: () => upstream.sent.map(({ body }) => decode(body)),
      release() {
        const open = gates;
        gates = [];
        for (const gate of open) gate(null);
      },
      until: (condition) => untilSim(sim, condition),
      stop: () => Promise.resolve(),
    });
  },
});
