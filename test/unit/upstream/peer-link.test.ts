// Exchanges between workers over rings: what fits and what does not, who waits for whom, and what is left when one of them dies.
// Runs src/upstream/peer-link.ts and what it is made of. Real rings, loops that the test moves one event at a time.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { concat, decode, EMPTY, encode } from '../../../src/base/bytes.ts';
import { GatewayError } from '../../../src/base/errors.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import type { PeerHandler, PeerReply, PeerSink } from '../../../src/upstream/peer-calls.ts';
import type { PeerHead, PeerReplyHead, PeerRequest } from '../../../src/upstream/peer-frames.ts';
import type { PeerLink } from '../../../src/upstream/peer-link.ts';
import type { UpstreamCall } from '../../../src/upstream/upstream.ts';
import { Mesh, type MeshOptions, StepClock, startLinks } from '../../fixtures/peers.ts';

const KIB = 1024;

/** What a caller is told. */
class Ear implements PeerSink {
  head: PeerReplyHead | null = null;
  readonly pieces: Uint8Array[] = [];
  ended = false;
  error: GatewayError | null = null;
  takes = true;
  silent = false;
  readonly complaints: string[] = [];

  #note(event: string, isAllowed: boolean): void {
    if (!isAllowed || this.silent || this.over) this.complaints.push(event);
  }
  onHead(head: PeerReplyHead): void {
    this.#note('a second head', this.head === null);
    this.head = head;
  }
  onData(bytes: Uint8Array): boolean {
    this.#note('data before the head', this.head !== null);
    this.#note('an empty piece', bytes.length > 0);
    this.pieces.push(bytes);
    return this.takes;
  }
  onEnd(): void {
    this.#note('an end before the head', this.head !== null);
    this.ended = true;
  }
  onFail(error: GatewayError): void {
    this.#note('a failure out of place', true);
    this.error = error;
  }
  get over(): boolean {
    return this.ended || this.error !== null;
  }
  get body(): Uint8Array {
    return concat(this.pieces);
  }
}

/** What a handler was asked, and its means to answer. */
interface Asked {
  readonly from: number;
  readonly request: PeerRequest;
  readonly body: Uint8Array;
  readonly reply: PeerReply;
  aborted: boolean;
  resumed: number;
}

const HEAD: PeerHead = {
  status: 200,
  media: 'json',
  contentLength: -1,
  whole: false,
  sessionId: null,
  headers: { 'content-type': 'application/json' },
};

function head(parts: Partial<PeerHead> = {}): PeerHead {
  return { ...HEAD, ...parts };
}

function ask(texts: PeerRequest['texts'] = [], generation = 0): PeerRequest {
  return { subject: 'exchange', generation, texts };
}

/** Bytes that tell their place: a piece that is lost, doubled or moved shows. */
function pattern(length: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + seed) & 0xff;
  return bytes;
}

function sendWhole(reply: PeerReply, body: Uint8Array, parts: Partial<PeerHead> = {}): void {
  reply.head(head({ whole: true, contentLength: body.length, ...parts }));
  if (body.length > 0) reply.data(body);
  reply.end();
}

/** Workers 0 … n − 1 with their loops; each serves requests by noting them, or as told. */
class World {
  readonly mesh: Mesh;
  readonly clocks: readonly StepClock[];
  readonly links: PeerLink[];
  readonly asked: Asked[] = [];
  onAsked: (one: Asked) => void = () => undefined;

  constructor(options: Omit<MeshOptions, 'clockOf'> = {}) {
    const clocks = Array.from({ length: options.workers ?? 2 }, () => new StepClock());
    this.clocks = clocks;
    this.mesh = new Mesh({ ...options, clockOf: (worker) => clocks[worker] ?? new StepClock() });
    this.links = startLinks(this.mesh);
    for (const link of this.links) link.serve('exchange', this.handler);
    this.rest();
  }

  readonly handler: PeerHandler = (from, request, body, reply): UpstreamCall => {
    const one: Asked = { from, request, body, reply, aborted: false, resumed: 0 };
    this.asked.push(one);
    this.onAsked(one);
    return {
      abort: () => {
        one.aborted = true;
      },
      resume: () => {
        one.resumed++;
      },
    };
  };

  link(worker: number): PeerLink {
    const link = this.links[worker];
    if (link === undefined) throw new Error('no such worker');
    return link;
  }
  send(
    body: Uint8Array = EMPTY,
    request: PeerRequest = ask(),
    from = 0,
    to = 1,
  ): Ear & { call: UpstreamCall } {
    const ear = new Ear();
    const call = this.link(from).send(to, request, body, ear);
    if (ear.over || ear.head !== null) ear.complaints.push('an event before send() returned');
    return Object.assign(ear, { call });
  }
  /** Runs every loop until nothing is due anywhere. */
  rest(): void {
    for (let round = 0; round < 100_000; round++) {
      let hasRun = false;
      for (const clock of this.clocks) if (clock.step()) hasRun = true;
      if (!hasRun) return;
    }
    throw new Error('it never comes to rest');
  }
  pass(ms: number): void {
    for (const clock of this.clocks) clock.pass(ms);
    this.rest();
  }
  /** A worker begins its next life. */
  revive(worker: number): void {
    const link = this.mesh.link(worker);
    this.links[worker] = link;
    link.serve('exchange', this.handler);
    this.mesh.join(worker, link);
  }
  expectNothingLeft(): void {
    this.rest();
    expect(this.mesh.faults).toEqual([]);
    expect(this.links.map((link) => link.active)).toEqual(this.links.map(() => 0));
  }
}

function expectBody(ear: Ear, body: Uint8Array): void {
  expect(ear.error).toBeNull();
  expect(ear.ended).toBe(true);
  expect(Buffer.compare(ear.body, body)).toBe(0);
  expect(ear.complaints).toEqual([]);
}

describe('an exchange between workers', () => {
  test('a small one takes one frame each way, and stays whole', () => {
    const world = new World();
    world.onAsked = ({ body, reply }) => sendWhole(reply, concat([encode('re: '), body]));
    const ear = world.send(encode('hello'), ask(['x', null, '', 'größe \0 €', null]));
    world.rest();
    expectBody(ear, encode('re: hello'));
    expect(ear.head).toMatchObject(head({ whole: true, contentLength: 9 }));
    expect(ear.head?.header('content-type')).toBe('application/json');
    expect(ear.head?.header('allow')).toBeNull();
    expect(world.asked[0]?.request.texts).toEqual(['x', null, '', 'größe \0 €', null]);
    expect(world.links.map((link) => link.tally)).toEqual([
      { frames: 1, wakes: 1, rings: 1 },
      { frames: 1, wakes: 1, rings: 1 },
    ]);
    world.expectNothingLeft();
  });

  test('a nudge arrives with its server, and is no exchange', () => {
    const world = new World();
    world.links[0]?.nudge(1, 7);
    world.links[0]?.nudge(1, 0);
    world.rest();
    expect(world.mesh.nudges).toEqual([
      [1, 7],
      [1, 0],
    ]);
    world.expectNothingLeft();
  });

  test('a reply without a body has a head and an end', () => {
    const world = new World();
    world.onAsked = ({ reply }) => sendWhole(reply, EMPTY, { status: 202, media: 'none', sessionId: 's 1' });
    const ear = world.send();
    world.rest();
    expectBody(ear, EMPTY);
    expect(ear.head).toMatchObject({
      status: 202,
      media: 'none',
      contentLength: 0,
      sessionId: 's 1',
      whole: true,
    });
  });

  test('what a sink or handler got stays as it was when the ring goes round', () => {
    const world = new World({ ringBytes: 4096 });
    world.onAsked = ({ body, reply }) => sendWhole(reply, body);
    const bodies = Array.from({ length: 40 }, (_, i) => pattern(500, i));
    const ears = bodies.map((body) => {
      const ear = world.send(body);
      world.rest();
      return ear;
    });
    ears.forEach((ear, i) => {
      expectBody(ear, bodies[i] ?? EMPTY);
    });
    world.asked.forEach(({ body }, i) => {
      expect(Buffer.compare(body, bodies[i] ?? EMPTY)).toBe(0);
    });
  });

  for (const ringBytes of [4096, 64 * KIB]) {
    test(`bodies larger than a frame go in chunks both ways, ring of ${ringBytes}`, () => {
      const world = new World({ ringBytes });
      const up = pattern(700 * KIB + 13, 1);
      const down = pattern(900 * KIB + 7, 2);
      world.onAsked = ({ reply }) => sendWhole(reply, down);
      const ear = world.send(up);
      world.rest();
      expect(Buffer.compare(world.asked[0]?.body ?? EMPTY, up)).toBe(0);
      expect(ear.head).toMatchObject({ whole: false, contentLength: down.length });
      expectBody(ear, down);
      world.expectNothingLeft();
    });
  }

  test('words longer than a frame arrive, of requests and of heads', () => {
    const world = new World({ ringBytes: 4096 });
    const long = Array.from({ length: 60 }, (_, i) => `${i}: ${'é'.repeat(40)}`);
    const headers = Object.fromEntries(long.map((value, i) => [`x-${i}`, value]));
    world.onAsked = ({ reply }) => sendWhole(reply, encode('ok'), { headers });
    const ears = Array.from({ length: 10 }, () => world.send(pattern(3000), ask(long)));
    world.rest();
    for (const ear of ears) {
      expectBody(ear, encode('ok'));
      expect(ear.head?.headers).toEqual(headers);
    }
    for (const one of world.asked) expect(one.request.texts).toEqual(long);
    world.expectNothingLeft();
  });

  test('a stream arrives event by event', () => {
    const world = new World();
    const ear = world.send();
    world.rest();
    const { reply } = world.asked[0] as Asked;
    reply.head(head({ media: 'event-stream' }));
    world.rest();
    expect(ear.head).toMatchObject({ media: 'event-stream', whole: false });
    for (const text of ['one', 'two', 'three']) {
      expect(reply.data(encode(text))).toBe(true);
      world.rest();
      expect(decode(ear.pieces.at(-1) ?? EMPTY)).toBe(text);
    }
    expect(ear.over).toBe(false);
    reply.end();
    world.rest();
    expectBody(ear, encode('onetwothree'));
    world.expectNothingLeft();
  });

  test('many at once over a ring that holds four: all arrive, one ring of the bell for many frames', () => {
    const world = new World({ ringBytes: 4096 });
    world.onAsked = ({ body, reply }) => sendWhole(reply, body);
    const bodies = Array.from({ length: 300 }, (_, i) => pattern(i % 9 === 0 ? 5000 : 100 + i, i));
    const ears = bodies.map((body, i) => {
      const ear = world.send(body, ask([`${i}`]));
      world.clocks[i % 5]?.step();
      return ear;
    });
    world.rest();
    ears.forEach((ear, i) => {
      expectBody(ear, bodies[i] ?? EMPTY);
    });
    // Nobody jumps the queue: those that take one frame are served in the order in which they were sent.
    const served = world.asked.map(({ request }) => Number(request.texts[0])).filter((i) => i % 9 !== 0);
    expect(served).toEqual(served.toSorted((a, b) => a - b));
    const [asking] = world.links;
    expect(asking?.tally.frames).toBeGreaterThan(300);
    expect(asking?.tally.rings ?? 0).toBeLessThan(150);
    world.expectNothingLeft();
  });

  test('three workers, each asking each, keep their exchanges apart', () => {
    const world = new World({ workers: 3, ringBytes: 4096 });
    world.onAsked = ({ from, body, reply }) => sendWhole(reply, concat([encode(`to ${from}: `), body]));
    const ears = Array.from({ length: 120 }, (_, i) => {
      const from = i % 3;
      const text = `${from} asks ${i}`;
      return { from, text, ear: world.send(encode(text), ask(), from, (from + 1 + (i % 2)) % 3) };
    });
    world.rest();
    for (const { from, text, ear } of ears) expectBody(ear, encode(`to ${from}: ${text}`));
    world.expectNothingLeft();
  });
});

describe('back-pressure', () => {
  test('a sink that does not take its bytes stops the home at one window, and nobody else', () => {
    const world = new World({ ringBytes: 64 * KIB });
    const ear = world.send();
    ear.takes = false;
    world.rest();
    const { reply } = world.asked[0] as Asked;
    reply.head(head());
    const piece = pattern(4 * KIB);
    let sent = 0;
    while (reply.data(piece)) {
      sent += piece.length;
      world.rest();
      expect(sent).toBeLessThanOrEqual(LIMITS.peerWindowBytes);
    }
    expect(sent).toBe(LIMITS.peerWindowBytes);
    expect(ear.pieces).toHaveLength(1);
    world.onAsked = (one) => sendWhole(one.reply, one.body);
    const other = world.send(pattern(200 * KIB));
    world.rest();
    expectBody(other, pattern(200 * KIB));
    expect(ear.pieces).toHaveLength(1);
    expect(world.asked[0]?.resumed).toBe(0);
    ear.takes = true;
    ear.call.resume();
    world.rest();
    expect(world.asked[0]?.resumed).toBe(1);
    expect(ear.body.length).toBe(sent + piece.length);
    reply.end();
    world.rest();
    expect(ear.ended).toBe(true);
    world.expectNothingLeft();
  });

  test('a sink that pauses at every piece gets one piece for each resume, and the end behind the last', () => {
    const world = new World();
    const body = pattern(300 * KIB);
    world.onAsked = ({ reply }) => sendWhole(reply, body);
    const ear = world.send();
    ear.takes = false;
    world.rest();
    for (let pieces = 1; !ear.ended; pieces++) {
      expect(ear.pieces).toHaveLength(pieces);
      ear.call.resume();
      ear.call.resume();
      world.rest();
      if (pieces > 1_000) throw new Error('it never ends');
    }
    expectBody(ear, body);
    world.expectNothingLeft();
  });

  test('a failure comes behind what is held', () => {
    const world = new World();
    const ear = world.send();
    ear.takes = false;
    world.rest();
    const { reply } = world.asked[0] as Asked;
    reply.head(head());
    reply.data(encode('one'));
    reply.data(encode('two'));
    reply.fail(new GatewayError('GW_UPSTREAM_IDLE', 'for 3 s'));
    world.rest();
    expect([ear.pieces.length, ear.over]).toEqual([1, false]);
    ear.takes = true;
    ear.call.resume();
    world.rest();
    expect(decode(ear.body)).toBe('onetwo');
    expect([ear.error?.code, ear.error?.detail]).toEqual(['GW_UPSTREAM_IDLE', 'for 3 s']);
    expect(ear.complaints).toEqual([]);
    world.expectNothingLeft();
  });
});

describe('leaving and failing', () => {
  test('abort() reaches the handler, and nothing comes any more', () => {
    const world = new World({ ringBytes: 4096 });
    const ear = world.send();
    world.rest();
    const one = world.asked[0] as Asked;
    one.reply.head(head());
    one.reply.data(pattern(100 * KIB));
    for (let i = 0; i < 3; i++) for (const clock of world.clocks) clock.step();
    ear.silent = true;
    ear.call.abort();
    ear.call.abort();
    ear.call.resume();
    world.rest();
    expect(one.aborted).toBe(true);
    expect(one.reply.data(encode('late'))).toBe(true);
    one.reply.end();
    expect(ear.complaints).toEqual([]);
    world.expectNothingLeft();
  });

  test('what is aborted before it was sent is never sent', () => {
    const world = new World({ ringBytes: 4096 });
    const many = Array.from({ length: 20 }, () => world.send(pattern(900)));
    for (const ear of many.slice(10)) {
      ear.silent = true;
      ear.call.abort();
    }
    world.rest();
    expect(world.asked).toHaveLength(10);
    for (const { reply } of world.asked) sendWhole(reply, EMPTY);
    world.rest();
    expect(many.map((ear) => ear.ended)).toEqual(many.map((_, i) => i < 10));
    expect(many.flatMap((ear) => ear.complaints)).toEqual([]);
    world.expectNothingLeft();
  });

  test('abort() in the middle of a request’s body: it is never served', () => {
    const world = new World({ ringBytes: 4096 });
    const ear = world.send(pattern(500 * KIB));
    for (let i = 0; i < 6; i++) for (const clock of world.clocks) clock.step();
    ear.call.abort();
    world.rest();
    expect(world.asked).toHaveLength(0);
    expect(ear.complaints).toEqual([]);
    world.expectNothingLeft();
  });

  test('failures keep code and detail, before and behind the head', () => {
    const world = new World();
    world.onAsked = ({ request, reply }) => {
      if (request.texts[0] === 'late') {
        reply.head(head());
        reply.data(encode('half'));
      }
      reply.fail(new GatewayError('GW_UPSTREAM_TIMEOUT', 'after 5 ms', new Error('secret')));
    };
    const early = world.send();
    const late = world.send(EMPTY, ask(['late']));
    world.rest();
    expect([early.head, early.error?.code, early.error?.detail]).toEqual([
      null,
      'GW_UPSTREAM_TIMEOUT',
      'after 5 ms',
    ]);
    expect([decode(late.body), late.error?.code]).toEqual(['half', 'GW_UPSTREAM_TIMEOUT']);
    world.expectNothingLeft();
  });

  test('a handler that throws fails its exchange, and no other', () => {
    const world = new World();
    world.onAsked = ({ request, reply }) => {
      if (request.texts[0] === 'throw') throw new Error('a fault of ours');
      sendWhole(reply, encode('fine'));
    };
    const bad = world.send(EMPTY, ask(['throw']));
    const good = world.send();
    world.rest();
    expect(bad.error?.code).toBe('GW_BASE_INTERNAL');
    expectBody(good, encode('fine'));
    world.expectNothingLeft();
  });

  test('a sink that throws loses its own exchange only', () => {
    const world = new World();
    world.onAsked = ({ reply }) => sendWhole(reply, encode('fine'));
    const bad = world.send();
    bad.onHead = () => {
      throw new Error('a fault of ours');
    };
    const good = world.send();
    world.rest();
    expectBody(good, encode('fine'));
    expect(bad.pieces).toHaveLength(0);
    expect(world.mesh.faults.splice(0)).toEqual([expect.stringContaining('a fault of ours')]);
    world.expectNothingLeft();
  });

  test('a body beyond the bound is refused and not kept', () => {
    const world = new World({ ringBytes: 4096, bodyBytesMax: 10_000 });
    world.onAsked = ({ reply }) => sendWhole(reply, EMPTY);
    const large = world.send(pattern(200_000));
    const right = world.send(pattern(10_000));
    world.rest();
    expect(large.error?.code).toBe('GW_SERVER_BODY_SIZE');
    expectBody(right, EMPTY);
    expect(world.asked).toHaveLength(1);
    world.expectNothingLeft();
  });

  test('a refusal in the middle of a body is heard, though the ring was full', () => {
    const world = new World({ ringBytes: 4096 });
    const ear = world.send(pattern(300 * KIB), ask([], 1));
    for (let i = 0; i < 4; i++) for (const clock of world.clocks) clock.step();
    expect(ear.over).toBe(false);
    world.link(0).stop();
    expect(ear.error?.code).toBe('GW_SERVER_STOPPED');
    world.rest();
    expect(world.asked).toHaveLength(0);
  });
});

describe('workers that die', () => {
  test('what was sent is lost, what was not waits for the next life', () => {
    const world = new World({ ringBytes: 4096 });
    const sent = world.send();
    world.rest();
    world.mesh.die(1);
    expect(sent.error).toMatchObject({ code: 'GW_PEER_LOST', row: { retry: 'never', source: 'gateway' } });
    const waiting = world.send(pattern(20_000));
    world.pass(LIMITS.peerWaitMs - 1);
    expect(waiting.over).toBe(false);
    world.onAsked = ({ reply }) => sendWhole(reply, encode('again'));
    world.revive(1);
    world.rest();
    expectBody(waiting, encode('again'));
    world.pass(LIMITS.peerWaitMs);
    expect(waiting.complaints).toEqual([]);
    world.expectNothingLeft();
  });

  test('waiting has a bound, and may be given up', () => {
    const world = new World();
    world.mesh.die(1);
    const patient = world.send();
    const hasty = world.send();
    hasty.silent = true;
    hasty.call.abort();
    world.pass(LIMITS.peerWaitMs);
    expect(patient.error).toMatchObject({ code: 'GW_PEER_DOWN', row: { retry: 'safe' } });
    world.revive(1);
    world.rest();
    expect(world.asked).toHaveLength(0);
    expect([...patient.complaints, ...hasty.complaints]).toEqual([]);
    world.expectNothingLeft();
  });

  test('half a request was not executed, and says so', () => {
    const world = new World({ ringBytes: 4096 });
    const ear = world.send(pattern(300 * KIB));
    for (let i = 0; i < 4; i++) for (const clock of world.clocks) clock.step();
    world.mesh.die(1);
    expect(ear.error?.code).toBe('GW_PEER_DOWN');
    world.rest();
    expect(world.asked).toHaveLength(0);
    world.expectNothingLeft();
  });

  test('a reply that was put before the death is heard', () => {
    const world = new World();
    const ear = world.send();
    world.rest();
    const { reply } = world.asked[0] as Asked;
    reply.head(head());
    reply.data(encode('all of it'));
    reply.end();
    world.mesh.die(1);
    expectBody(ear, encode('all of it'));
    world.expectNothingLeft();
  });

  test('a stream breaks behind what came of it', () => {
    const world = new World();
    const ear = world.send();
    world.rest();
    const { reply } = world.asked[0] as Asked;
    reply.head(head({ media: 'event-stream' }));
    reply.data(encode('first'));
    world.mesh.die(1);
    expect([decode(ear.body), ear.error?.code]).toEqual(['first', 'GW_PEER_LOST']);
    world.expectNothingLeft();
  });

  test('the death of the caller aborts what was served for it, and starts nothing that it still asked', () => {
    const world = new World();
    world.send();
    world.rest();
    world.send(encode('never served'));
    world.mesh.die(0);
    expect(world.asked.map(({ aborted }) => aborted)).toEqual([true]);
    world.revive(0);
    world.onAsked = ({ reply }) => sendWhole(reply, encode('new life'));
    const ear = world.send();
    world.rest();
    expectBody(ear, encode('new life'));
    world.expectNothingLeft();
  });

  test('a call for a life that is over is told so without asking', () => {
    const world = new World();
    world.mesh.die(1);
    const early = world.send(EMPTY, ask([], 1));
    world.revive(1);
    const late = world.send(EMPTY, ask([], 1));
    world.rest();
    expect([early.error?.code, late.error?.code]).toEqual(['GW_SESSION_UNKNOWN', 'GW_SESSION_UNKNOWN']);
    expect(world.asked).toHaveLength(0);
    world.onAsked = ({ reply }) => sendWhole(reply, encode('known'));
    const right = world.send(EMPTY, ask([], 2));
    world.rest();
    expectBody(right, encode('known'));
    world.expectNothingLeft();
  });

  test('a new life that is heard of before the old one’s death is not taken for it', () => {
    const world = new World();
    const old = world.send();
    world.rest();
    // Worker 0 was too late: the rings are cleared and the next life asks before peerDown() comes.
    const late = world.link(0);
    world.mesh.kill(1);
    world.mesh.generations[1] = 2;
    const next = world.mesh.link(1);
    next.serve('exchange', world.handler);
    world.onAsked = ({ reply }) => sendWhole(reply, encode('for the new life'));
    world.links[1] = next;
    const ear = new Ear();
    world.mesh.generations[1] = 1;
    const [here, there] = [fakePort(world.clocks[0]), fakePort(world.clocks[1])];
    next.peerUp(0, 1, there.port);
    next.send(0, ask(), encode('from the next life'), ear);
    world.rest();
    late.peerDown(1, 1);
    late.peerUp(1, 2, here.port);
    here.callback();
    world.rest();
    there.callback();
    world.rest();
    expect(old.error?.code).toBe('GW_PEER_LOST');
    expectBody(ear, encode('for the new life'));
  });

  test('a ring of the bell that dies with its ringer does not leave the others’ frames lying', () => {
    const world = new World({ workers: 3 });
    world.onAsked = ({ reply }) => sendWhole(reply, encode('heard'));
    world.send(EMPTY, ask(), 2, 1);
    // Worker 2 has rung for worker 1, which has not heard it yet.
    world.clocks[2]?.step();
    world.mesh.die(2);
    const ear = world.send(EMPTY, ask(), 0, 1);
    world.rest();
    expectBody(ear, encode('heard'));
  });

  test('at whatever event a worker dies, every call of the other ends once', () => {
    const ends: Record<string, number> = {};
    for (let steps = 0; steps < 120; steps++) {
      const world = new World({ ringBytes: 4096 });
      world.onAsked = ({ body, reply }) => sendWhole(reply, body);
      const ears = [100, 9_000, 70_000, 0, 900].map((size) => world.send(pattern(size)));
      for (let i = 0; i < steps; i++) world.clocks[i % 2]?.step();
      world.mesh.kill(1);
      for (let i = 0; i < steps % 5; i++) world.clocks[0]?.step();
      world.mesh.mourn(1);
      world.rest();
      world.pass(LIMITS.peerWaitMs);
      for (const ear of ears) {
        expect(ear.over).toBe(true);
        expect(ear.complaints).toEqual([]);
        const end = ear.error?.code ?? 'ok';
        ends[end] = (ends[end] ?? 0) + 1;
      }
      expect(world.link(0).active).toBe(0);
    }
    // All three ends were seen: the deaths came at different points.
    expect(Object.keys(ends).sort()).toEqual(['GW_PEER_DOWN', 'GW_PEER_LOST', 'ok']);
  });
});

describe('any interleaving', () => {
  const plan = fc.record({
    ringBytes: fc.constantFrom(4096, 8192, 32 * KIB),
    workers: fc.integer({ min: 2, max: 3 }),
    calls: fc.array(
      fc.record({
        from: fc.nat(2),
        to: fc.nat(1),
        up: fc.oneof(fc.nat(600), fc.nat(90 * KIB)),
        down: fc.array(fc.oneof(fc.nat(300), fc.nat(30 * KIB)), { maxLength: 6 }),
        isWhole: fc.boolean(),
        ending: fc.constantFrom('end', 'end', 'end', 'fail', 'abort', 'hang'),
        pauses: fc.boolean(),
      }),
      { minLength: 1, maxLength: 14 },
    ),
    // Whose turn it is, for as long as the list lasts; everybody's afterwards.
    turns: fc.array(fc.nat(2), { maxLength: 300 }),
    deathAt: fc.option(fc.nat(300), { nil: null }),
  });

  /** One call of a plan, as it goes. */
  interface Going {
    readonly from: number;
    readonly to: number;
    readonly expected: Uint8Array;
    readonly up: Uint8Array;
    readonly ending: string;
    readonly ear: Ear & { call: UpstreamCall };
  }

  test('nothing is lost, doubled or moved, and every call ends once', () => {
    fc.assert(
      fc.property(plan, ({ ringBytes, workers, calls, turns, deathAt }) => {
        const world = new World({ ringBytes, workers });
        world.onAsked = ({ request, body, reply }) => {
          const one = calls[Number(request.texts[0])];
          expect(Buffer.compare(body, pattern(one?.up ?? 0, Number(request.texts[0])))).toBe(0);
          const pieces = (one?.down ?? []).map((size, i) => pattern(size, i));
          if (one?.isWhole === true && one.ending !== 'fail') sendWhole(reply, concat(pieces));
          else {
            reply.head(head());
            for (const piece of pieces) if (piece.length > 0) reply.data(piece);
            if (one?.ending === 'fail') reply.fail(new GatewayError('GW_UPSTREAM_CLOSED'));
            else if (one?.ending !== 'hang') reply.end();
          }
        };
        const going = calls.map((one, i): Going => {
          const from = one.from % workers;
          const to = (from + 1 + (one.to % (workers - 1))) % workers;
          const up = pattern(one.up, i);
          const ear = world.send(up, ask([String(i)]), from, to);
          ear.takes = !one.pauses;
          const expected = concat(one.down.map((size, at) => pattern(size, at)));
          return { from, to, expected, up, ending: one.ending, ear };
        });
        const dead = deathAt === null ? null : workers - 1;
        turns.forEach((turn, at) => {
          if (at === deathAt && dead !== null) world.mesh.die(dead);
          world.clocks[turn % workers]?.step();
          for (const { ending, ear } of going) {
            if (ending === 'abort' && at === turns.length >> 1 && !ear.over) {
              ear.silent = true;
              ear.call.abort();
            } else if (!ear.takes && at % 3 === 0) ear.call.resume();
          }
        });
        const hasDied = deathAt !== null && deathAt < turns.length;
        for (let round = 0; round < 400; round++) {
          world.rest();
          for (const { ear } of going) ear.call.resume();
        }
        world.pass(LIMITS.peerWaitMs);
        for (const { from, to, expected, ending, ear } of going) {
          const isTouched = hasDied && (from === dead || to === dead);
          if (from === dead && hasDied) continue;
          expect(ear.complaints).toEqual([]);
          // Whatever came is the beginning of what was said.
          expect(Buffer.compare(ear.body, expected.subarray(0, ear.body.length))).toBe(0);
          if (ear.silent) continue;
          if (ending === 'hang' && !ear.over) {
            expect(Buffer.compare(ear.body, expected)).toBe(0);
            ear.call.abort();
          } else if (ending === 'fail' && !isTouched) expect(ear.error?.code).toBe('GW_UPSTREAM_CLOSED');
          else if (!isTouched) expectBody(ear, expected);
          else expect(ear.over).toBe(true);
        }
        if (hasDied && dead !== null) world.links.splice(dead, 1);
        world.expectNothingLeft();
      }),
      { numRuns: 150 },
    );
  });
});

/** A port whose message the test delivers itself. */
function fakePort(_clock: StepClock | undefined): {
  readonly port: Parameters<PeerLink['peerUp']>[2];
  callback: () => void;
} {
  let onMessage: (message: unknown) => void = () => undefined;
  const port = {
    post: () => undefined,
    onMessage: (callback: (message: unknown) => void) => {
      onMessage = callback;
    },
    close: () => undefined,
  };
  return { port, callback: () => onMessage(0) };
}
