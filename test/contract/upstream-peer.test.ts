// The upstream contract on a server that lives in another worker: over rings large and small, and with its home here.
// Runs test/contract/upstream.ts on src/upstream/peer.ts between two workers in one thread, on simulated time.
import { afterAll, expect, test } from 'bun:test';
import { decode } from '../../src/base/bytes.ts';
import { createSimRuntime } from '../../src/runtime/sim.ts';
import { portableScanner } from '../../src/scan/portable.ts';
import { createFakeUpstream, type FakeReply, type FakeUpstream } from '../../src/upstream/fake.ts';
import { createPeerUpstream, homeOf, servePeers } from '../../src/upstream/peer.ts';
import type { PeerLink } from '../../src/upstream/peer-link.ts';
import type { Upstream } from '../../src/upstream/upstream.ts';
import { Mesh, startLinks } from '../fixtures/peers.ts';
import { callOf, describeUpstream, type UpstreamWorld, Witness, type WorldSettings } from './upstream.ts';
import { deedOf } from './upstream-server.ts';

const scanner = portableScanner();
const faults: string[] = [];

/** A server with the behaviour of deedOf(), on simulated time, and what it holds back. */
class Deeds {
  readonly sim = createSimRuntime({ seed: 1 });
  #gates: ((value: unknown) => void)[] = [];

  upstream(settings: WorldSettings): FakeUpstream {
    const { firstByteTimeoutMs = 0 } = settings;
    return createFakeUpstream({
      clock: this.sim.clock,
      firstByteTimeoutMs,
      script: ({ body }) => this.#reply(decode(body)),
    });
  }
  #reply(body: string): FakeReply {
    const deed = deedOf(body);
    if (deed.kind === 'accept') return { status: 202 };
    if (deed.kind === 'hang') return { hang: true };
    if (deed.kind === 'die') return { fail: 'GW_UPSTREAM_CLOSED' };
    if (deed.kind === 'half')
      return { body: [deed.text.slice(0, 5)], fail: 'GW_UPSTREAM_CLOSED', failLate: true };
    if (deed.kind === 'hold')
      return { body: deed.text, until: new Promise((resolve) => this.#gates.push(resolve)) };
    if (deed.kind === 'answer') return { body: deed.text };
    const events = [...deed.notes, deed.text].map((text) => `event: message\ndata: ${text}\n\n`);
    return { headers: { 'content-type': 'text/event-stream' }, body: events };
  }
  release(): void {
    for (const gate of this.#gates.splice(0)) gate(null);
  }
  async until(condition: () => boolean): Promise<void> {
    for (let turn = 0; !condition(); turn++) {
      if (turn > 20_000) throw new Error('it did not happen within twenty simulated seconds');
      await this.sim.advance(1);
    }
  }
}

const HOME = homeOf('fake', 2);

function makeWorld(ringBytes: number, settings: WorldSettings): UpstreamWorld & { links: PeerLink[] } {
  const deeds = new Deeds();
  const mesh = new Mesh({ clockOf: () => deeds.sim.clock, ringBytes });
  const links = startLinks(mesh);
  const [home, asker] = [links[HOME], links[1 - HOME]];
  if (home === undefined || asker === undefined) throw new Error('two workers have two links');
  const server = deeds.upstream(settings);
  servePeers(home, scanner, (name) => (name === 'fake' ? server : null));
  const peer = createPeerUpstream({
    link: asker,
    local: deeds.upstream(settings),
    sharesSessions: false,
  });
  return {
    links,
    upstream: {
      name: peer.name,
      transport: peer.transport,
      send: (request, sink) => peer.send(request, sink),
      // Calls are counted where they run.
      stats: () => server.stats(),
      close: async (withinMs) => {
        await Promise.all([peer.close(withinMs), server.close(withinMs)]);
      },
    },
    seen: () => server.sent.map(({ body }) => decode(body)),
    release: () => deeds.release(),
    until: (condition) => deeds.until(condition),
    stop() {
      faults.push(...mesh.faults);
      return Promise.resolve();
    },
  };
}

for (const ringBytes of [4096, 256 * 1024]) {
  describeUpstream({
    name: `a peer, ring of ${ringBytes} bytes`,
    era: 'modern',
    can: { half: true, queue: false, diesAlone: true, pause: true, session: null },
    make: (settings) => Promise.resolve(makeWorld(ringBytes, settings)),
  });
}

test('nothing is left in the links, and no frame met a fault', async () => {
  const world = makeWorld(64 * 1024, {});
  const all = ['echo', 'stream', 'big', 'hang', 'die'].map((name, id) => {
    const witness = new Witness();
    return { name, witness, call: world.upstream.send(callOf('modern', id, name), witness) };
  });
  await world.until(() => all.every(({ name, witness }) => witness.over || name === 'hang'));
  for (const { call } of all) call.abort();
  await world.until(() => world.links.every((link) => link.active === 0));
  expect(all.map(({ witness }) => witness.complaints)).toEqual(all.map(() => []));
});

test('every worker finds the same home, and names spread over the workers', () => {
  const homes = Array.from({ length: 400 }, (_, i) => homeOf(`server-${i}`, 4));
  for (const worker of [0, 1, 2, 3])
    expect(homes.filter((home) => home === worker).length).toBeGreaterThan(50);
  expect(homeOf('größe', 7)).toBe(homeOf('größe', 7));
  expect(homeOf('a', 1)).toBe(0);
});

test('in its home a server is reached without a detour', () => {
  const deeds = new Deeds();
  const links = startLinks(new Mesh({ clockOf: () => deeds.sim.clock }));
  const link = links[HOME];
  if (link === undefined) throw new Error('no link');
  const local = deeds.upstream({});
  expect(createPeerUpstream({ link, local, sharesSessions: false })).toBe(local);
});

test('its home learns whether a client wants a request, or the gateway for itself', async () => {
  const deeds = new Deeds();
  const links = startLinks(new Mesh({ clockOf: () => deeds.sim.clock }));
  const [home, asker] = [links[HOME], links[1 - HOME]];
  if (home === undefined || asker === undefined) throw new Error('two workers have two links');
  const server = deeds.upstream({});
  const heard: boolean[] = [];
  const upstream: Upstream = {
    ...{ name: 'fake', transport: 'fake', stats: () => server.stats(), close: (ms) => server.close(ms) },
    send: (request, sink) => {
      heard.push(request.isBackground === true);
      return server.send(request, sink);
    },
  };
  servePeers(home, scanner, () => upstream);
  const peer = createPeerUpstream({ link: asker, local: server, sharesSessions: false });
  const headers = ['x-one', 'background'];
  const witnesses = [{}, { isBackground: true }, { isBackground: false }].map((parts, id) => {
    const witness = new Witness();
    peer.send({ ...callOf('modern', id, 'echo'), headers, ...parts }, witness);
    return witness;
  });
  await deeds.until(() => witnesses.every(({ over }) => over));
  expect(heard).toEqual([false, true, false]);
});

afterAll(() => expect(faults).toEqual([]));
