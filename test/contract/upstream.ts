// The suite that every upstream must pass, whatever its transport.
// Called by test/contract/upstream*.test.ts with one kind each. Promises: nothing here knows a transport; what one cannot show is a flag
// of its kind, with the reason beside it.

import { afterEach, describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { concat, decode, type Edit, encode } from '../../src/base/bytes.ts';
import type { GatewayError } from '../../src/base/errors.ts';
import { ENVELOPE, SCAN } from '../../src/scan/contract.ts';
import { portableScanner } from '../../src/scan/portable.ts';
import type { ServerSpec } from '../../src/upstream/spec.ts';
import type {
  Era,
  ReplyHead,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
} from '../../src/upstream/upstream.ts';
import { NO_CLIENT } from '../../src/upstream/upstream.ts';
import { BIG_BYTES } from './upstream-server.ts';

/** Settings of a world; the rest is up to the kind. */
export type WorldSettings = Partial<
  Pick<ServerSpec, 'firstByteTimeoutMs' | 'replyIdleTimeoutMs' | 'totalTimeoutMs' | 'queueDepthMax'>
> & { readonly connectionsMax?: number };

/** An upstream and the server behind it, which behaves as deedOf() in upstream-server.ts says. */
export interface UpstreamWorld {
  readonly upstream: Upstream;
  /** Bodies that the server got, in order, edits applied. */
  seen(): readonly string[];
  /** Lets the calls of the tool `hold` be answered. */
  release(): void;
  /** Lets time pass until the condition holds; throws when it does not in good time. */
  until(condition: () => boolean): Promise<void>;
  stop(): Promise<void>;
}

/** One transport. */
export interface UpstreamKind {
  readonly name: string;
  readonly era: Era;
  readonly can: {
    /** Replies can break off in the middle. */
    readonly half: boolean;
    /** Connections are bounded and calls wait for one. */
    readonly queue: boolean;
    /** `die` ends only the one call, not its neighbours. */
    readonly diesAlone: boolean;
    /** onData() is not called between false and resume(). */
    readonly pause: boolean;
    /** A legacy session is needed first; the kind's world opens it and says which. */
    readonly session: string | null;
  };
  make(settings: WorldSettings): Promise<UpstreamWorld>;
}

/** Remembers what a call was told, and complains about whatever the contract forbids. */
export class Witness implements UpstreamSink {
  head: { readonly status: number; readonly media: ReplyHead['media']; readonly whole: boolean } | null =
    null;
  readonly pieces: Uint8Array[] = [];
  ended = false;
  error: GatewayError | null = null;
  /** What onData answers. */
  takes = true;
  /** Set by the test: no event may come now. */
  silent = false;
  readonly complaints: string[] = [];

  private note(event: string, allowed: boolean): void {
    if (!allowed || this.silent || this.over) this.complaints.push(event);
  }
  onHead(head: ReplyHead): void {
    this.note('a second head', this.head === null);
    this.head = { status: head.status, media: head.media, whole: head.whole };
  }
  onData(bytes: Uint8Array): boolean {
    this.note('data before the head', this.head !== null);
    this.note('an empty piece', bytes.length > 0);
    if (this.head?.whole === true) this.note('two pieces of a whole body', this.pieces.length === 0);
    this.pieces.push(bytes);
    return this.takes;
  }
  onEnd(): void {
    this.note('an end before the head', this.head !== null);
    this.ended = true;
  }
  onFail(error: GatewayError): void {
    this.note('a failure out of place', true);
    this.error = error;
  }
  get over(): boolean {
    return this.ended || this.error !== null;
  }
  get body(): string {
    return decode(concat(this.pieces));
  }
  /** The text of the answer, whichever form the reply has. */
  get answer(): { readonly id: unknown; readonly text: string } {
    const events = this.body.split('\n\n').filter((event) => event.includes('data: '));
    const last = this.head?.media === 'event-stream' ? (events.at(-1)?.split('data: ')[1] ?? '') : this.body;
    const message = JSON.parse(last);
    return { id: message.id, text: message.result.content[0].text };
  }
}

const scanner = portableScanner();

/** A call of a tool, as a request of the given era. */
export function callOf(
  era: Era,
  id: number,
  name: string,
  text = '',
  parts: Partial<UpstreamRequest> = {},
): UpstreamRequest {
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
    // Modern servers log only to those who ask for it, and a shared process tells by this whom a message is for.
    'io.modelcontextprotocol/logLevel': 'info',
  };
  const params = { name, arguments: { text }, ...(era === 'modern' && { _meta: meta }) };
  return messageOf(era, { jsonrpc: '2.0', id, method: 'tools/call', params }, parts);
}

/** Any message as a request. */
export function messageOf(era: Era, message: object, parts: Partial<UpstreamRequest> = {}): UpstreamRequest {
  const body = encode(JSON.stringify(message));
  const envelope = new Int32Array(ENVELOPE.length);
  if (scanner.scan(body, 0, body.length, envelope) !== SCAN.ok)
    throw new Error('the test sends what is no message');
  const base = { verb: 'POST', era, envelope, edits: [], headers: [], session: null, timeoutMs: 0 } as const;
  return { ...base, body, exchangeId: 'contract', client: NO_CLIENT, ...parts };
}

/** Runs the suite on one kind. */
export function describeUpstream(kind: UpstreamKind): void {
  describe(`upstream contract: ${kind.name}`, () => {
    let world: UpstreamWorld | null = null;
    let nextId = 1;
    const make = async (settings: WorldSettings = {}): Promise<UpstreamWorld> => {
      world = await kind.make(settings);
      return world;
    };
    afterEach(async () => {
      await world?.stop();
      world = null;
    });

    interface Started {
      readonly id: number;
      readonly text: string;
      readonly witness: Witness;
      readonly call: UpstreamCall;
    }
    const start = (on: UpstreamWorld, name: string, parts: Partial<UpstreamRequest> = {}): Started => {
      const id = nextId++;
      const text = `text ${id}`;
      const witness = new Witness();
      const request = callOf(kind.era, id, name, text, { session: kind.can.session, ...parts });
      const call = on.upstream.send(request, witness);
      if (witness.head !== null || witness.over) witness.complaints.push('an event before send() returned');
      return { id, text, witness, call };
    };
    /** It was answered, with its own answer. */
    const expectAnswer = ({ id, text, witness }: Started): void => {
      expect(witness.error).toBeNull();
      expect(witness.head?.status).toBe(200);
      expect(witness.answer).toEqual({ id, text });
      expect(witness.complaints).toEqual([]);
    };
    const expectAtRest = (on: UpstreamWorld): void => {
      const { busy, waiting, total, idle } = on.upstream.stats();
      expect({ busy, waiting }).toEqual({ busy: 0, waiting: 0 });
      expect(total).toBeGreaterThanOrEqual(idle);
    };

    test('a call gets its answer, once', async () => {
      const here = await make();
      for (let i = 0; i < 6; i++) {
        const started = start(here, 'echo');
        await here.until(() => started.witness.over);
        expectAnswer(started);
      }
      expectAtRest(here);
      expect(here.seen()).toHaveLength(6);
    });

    test('many calls at once get their own answers', async () => {
      const here = await make();
      const all = Array.from({ length: 60 }, () => start(here, 'echo'));
      await here.until(() => all.every(({ witness }) => witness.over));
      for (const started of all) expectAnswer(started);
      expectAtRest(here);
    });

    test('answers come in any order', async () => {
      const here = await make();
      const held = [start(here, 'hold'), start(here, 'hold')];
      await here.until(() => here.seen().length === 2);
      const quick = start(here, 'echo');
      await here.until(() => quick.witness.over);
      expectAnswer(quick);
      expect(held.some(({ witness }) => witness.over)).toBe(false);
      here.release();
      await here.until(() => held.every(({ witness }) => witness.over));
      for (const started of held) expectAnswer(started);
    });

    test('edits are applied on the way', async () => {
      const here = await make();
      const witness = new Witness();
      const plain = callOf(kind.era, nextId++, 'server__echo', 'héllo', { session: kind.can.session });
      const at = decode(plain.body).indexOf('server__');
      const edits: Edit[] = [{ start: at, end: at + 8, insert: encode('') }];
      here.upstream.send({ ...plain, edits }, witness);
      await here.until(() => witness.over);
      expect(witness.answer.text).toBe('héllo');
      expect(JSON.parse(here.seen().at(-1) ?? '').params.name).toBe('echo');
      expect(decode(plain.body)).toContain('server__echo');
    });

    test('a notification is accepted without a body', async () => {
      const here = await make();
      const witness = new Witness();
      const note = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 4711 } };
      here.upstream.send(messageOf(kind.era, note, { session: kind.can.session }), witness);
      await here.until(() => witness.over);
      expect(witness.head).toMatchObject({ status: 202, media: 'none' });
      expect([witness.ended, witness.pieces.length, witness.complaints.length]).toEqual([true, 0, 0]);
      expectAtRest(here);
    });

    test('an answer with notifications comes as an event stream', async () => {
      const here = await make();
      const started = start(here, 'stream');
      await here.until(() => started.witness.over);
      expect(started.witness.head?.media).toBe('event-stream');
      expectAnswer(started);
      const events = started.witness.body.split('\n\n').filter((event) => event.includes('data: '));
      expect(events).toHaveLength(4);
      expect(events.slice(0, 3).every((event) => event.includes('notifications/message'))).toBe(true);
      expectAtRest(here);
    });

    test('a large answer is complete, with a sink that pauses at every piece', async () => {
      const here = await make();
      const started = start(here, 'big');
      const { witness } = started;
      witness.takes = false;
      let pieces = 0;
      await here.until(() => {
        if (witness.pieces.length > pieces) {
          if (kind.can.pause && !witness.over) expect(witness.pieces.length).toBe(pieces + 1);
          pieces = witness.pieces.length;
          started.call.resume();
        }
        return witness.over;
      });
      expect(witness.error).toBeNull();
      expect(witness.answer.text.length).toBe(BIG_BYTES);
      expect(witness.complaints).toEqual([]);
      expectAtRest(here);
    });

    test('after abort() nothing comes, and the neighbours do not notice', async () => {
      const here = await make();
      const gone = [start(here, 'hold'), start(here, 'hang'), start(here, 'stream')];
      const stays = start(here, 'hold');
      await here.until(() => here.seen().length >= 3);
      for (const { call, witness } of gone) {
        witness.silent = true;
        call.abort();
        call.abort();
        call.resume();
      }
      await here.until(() => here.seen().length === 4);
      here.release();
      await here.until(() => stays.witness.over);
      expectAnswer(stays);
      const after = start(here, 'echo');
      await here.until(() => after.witness.over);
      expectAnswer(after);
      for (const { witness } of gone) expect(witness.complaints).toEqual([]);
      await here.until(() => here.upstream.stats().busy === 0);
      expectAtRest(here);
    });

    test('abort() and resume() after the end are harmless', async () => {
      const here = await make();
      const done = start(here, 'echo');
      await here.until(() => done.witness.over);
      const next = start(here, 'hold');
      done.call.abort();
      done.call.resume();
      await here.until(() => here.seen().length === 2);
      done.call.abort();
      here.release();
      await here.until(() => next.witness.over);
      expectAnswer(next);
      expect(done.witness.complaints).toEqual([]);
    });

    test('a call at once aborted never begins or ends in silence', async () => {
      const here = await make();
      const gone = start(here, 'echo');
      gone.witness.silent = true;
      gone.call.abort();
      const next = start(here, 'echo');
      await here.until(() => next.witness.over);
      expectAnswer(next);
      expect(gone.witness.complaints).toEqual([]);
    });

    test('a server that dies fails the call for good, and the next call finds a server', async () => {
      const here = await make();
      const neighbour = start(here, 'hold');
      await here.until(() => here.seen().length === 1);
      const dead = start(here, 'die');
      await here.until(() => dead.witness.over);
      expect(dead.witness.error?.row).toMatchObject({ source: 'upstream', retry: 'never' });
      if (kind.can.diesAlone) expect(neighbour.witness.over).toBe(false);
      here.release();
      await here.until(() => neighbour.witness.over);
      const next = start(here, 'echo');
      await here.until(() => next.witness.over);
      expectAnswer(next);
      expect(here.seen().filter((body) => body.includes('"die"'))).toHaveLength(1);
      expect(here.upstream.stats().failures).toBeGreaterThan(0);
      expectAtRest(here);
    });

    if (kind.can.half) {
      test('a reply that breaks off fails behind what came of it', async () => {
        const here = await make();
        const half = start(here, 'half');
        await here.until(() => half.witness.over);
        expect(half.witness.error?.code).toBe('GW_UPSTREAM_CLOSED');
        expect('{"jsonrpc"'.startsWith(half.witness.body)).toBe(true);
        expect(half.witness.complaints).toEqual([]);
        expectAtRest(here);
      });
    }

    test('silence is bounded, by the call or by the server’s settings', async () => {
      const here = await make({ firstByteTimeoutMs: 400 });
      const hasty = start(here, 'hang', { timeoutMs: 40 });
      const patient = start(here, 'hang');
      await here.until(() => hasty.witness.over);
      expect(hasty.witness.error?.code).toBe('GW_UPSTREAM_TIMEOUT');
      expect(patient.witness.over).toBe(false);
      await here.until(() => patient.witness.over);
      expect(patient.witness.error?.code).toBe('GW_UPSTREAM_TIMEOUT');
      const next = start(here, 'echo');
      await here.until(() => next.witness.over);
      expectAnswer(next);
      expectAtRest(here);
    });

    if (kind.can.queue) {
      test('what finds neither a connection nor room in the queue is refused, safely', async () => {
        const here = await make({ connectionsMax: 2, queueDepthMax: 3 });
        const all = Array.from({ length: 7 }, () => start(here, 'hold'));
        const busy = all.slice(5);
        await here.until(() => busy.every(({ witness }) => witness.over) && here.seen().length === 2);
        for (const { witness } of busy) {
          expect(witness.error?.code).toBe('GW_UPSTREAM_BUSY');
          expect(witness.error?.row.retry).toBe('safe');
        }
        expect(here.upstream.stats()).toMatchObject({ busy: 2, waiting: 3 });
        const taken = all.slice(0, 5);
        await here.until(() => {
          here.release();
          return taken.every(({ witness }) => witness.over);
        });
        for (const started of taken) expectAnswer(started);
        expectAtRest(here);
      });
    }

    test('close() lets running calls finish and takes no new ones', async () => {
      const here = await make();
      const running = start(here, 'hold');
      await here.until(() => here.seen().length === 1);
      let closed = false;
      const closing = here.upstream.close(20_000).then(() => {
        closed = true;
      });
      const late = start(here, 'echo');
      await here.until(() => late.witness.over);
      expect(late.witness.error?.code).toBe('GW_UPSTREAM_CLOSING');
      expect([running.witness.over, closed]).toEqual([false, false]);
      here.release();
      await here.until(() => closed);
      await closing;
      expectAnswer(running);
      expect(here.upstream.stats()).toMatchObject({ total: 0, busy: 0, idle: 0, waiting: 0 });
      expect(here.seen()).toHaveLength(1);
    });

    test('regression: close() may be asked for twice while calls run, and both hear of the end', async () => {
      const here = await make();
      const running = start(here, 'hold');
      await here.until(() => here.seen().length === 1);
      let closed = 0;
      for (const withinMs of [20_000, 10_000])
        void here.upstream.close(withinMs).then(() => {
          closed++;
        });
      here.release();
      await here.until(() => closed === 2);
      expectAnswer(running);
    });

    test('close() breaks off what takes too long', async () => {
      const here = await make();
      const stuck = start(here, 'hang');
      await here.until(() => here.seen().length === 1);
      let closed = false;
      void here.upstream.close(30).then(() => {
        closed = true;
      });
      await here.until(() => closed);
      expect(stuck.witness.error?.row.retry).toBe('never');
      expect(stuck.witness.complaints).toEqual([]);
      expect(here.upstream.stats()).toMatchObject({ total: 0, busy: 0, idle: 0, waiting: 0 });
    });

    test('whatever the mixture, every call ends once and nothing is left', async () => {
      const names = kind.can.diesAlone
        ? ['echo', 'stream', 'hold', 'die', 'hang']
        : ['echo', 'stream', 'hold', 'hang'];
      const mix = fc.array(fc.tuple(fc.constantFrom(...names), fc.boolean()), {
        minLength: 1,
        maxLength: 25,
      });
      await fc.assert(
        fc.asyncProperty(mix, async (calls) => {
          const here = await make({ connectionsMax: 4 });
          const all = calls.map(([name, leaves]) => ({
            ...start(here, name),
            leaves: leaves || name === 'hang',
            name,
          }));
          for (const { leaves, name, call, witness } of all) {
            if (!leaves || name === 'echo') continue;
            witness.silent = true;
            call.abort();
          }
          const stay = all.filter(({ witness }) => !witness.silent);
          await here.until(() => {
            here.release();
            return stay.every(({ witness }) => witness.over);
          });
          for (const started of stay) {
            if (started.name !== 'die') expectAnswer(started);
            else expect(started.witness.error?.row.retry).toBe('never');
          }
          for (const { witness } of all) expect(witness.complaints).toEqual([]);
          await here.until(() => here.upstream.stats().busy === 0);
          expectAtRest(here);
          await here.stop();
        }),
        { numRuns: 12 },
      );
    });
  });
}
