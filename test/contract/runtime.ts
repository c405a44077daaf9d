// The runtime's contract as one suite over a world: listener, sockets, children, clock, randomness, files.
// Called by runtime.test.ts for every implementation. Promises: asserts nothing about durations, only about what happens
// and in which order.
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { rmSync } from 'node:fs';
import { GatewayError } from '../../src/base/errors.ts';
import type { Listener, ListenOptions, Reply, ReplySink, RequestHandler } from '../../src/runtime/runtime.ts';
import { type ClientExchange, type ClientRequest, sendRequest } from '../../src/runtime/sim-client.ts';
import { FLOOD_BYTES, sleep, type World } from './runtime-real.ts';
import { ChildRecorder, Pump, pattern, SocketRecorder, text } from './runtime-recorders.ts';

export const LISTEN: ListenOptions = {
  transport: 'uwebsockets',
  host: '127.0.0.1',
  port: 0,
  reusePort: false,
  bodyBytesMax: 200_000,
  idleTimeoutMs: 60_000,
  tls: null,
  http2: false,
  http3: false,
};

const BODY_LIMIT = LISTEN.bodyBytesMax;

function streamed(open: (sink: ReplySink) => void, media = 'application/octet-stream'): Reply {
  return { status: 200, headers: { 'content-type': media }, body: { open } };
}

/** Runs the whole suite on worlds that `make` gives, a fresh one for each test. */
export function runtimeContract(name: string, make: () => World): void {
  describe(`runtime contract: ${name}`, () => {
    let world: World;
    let listeners: Listener[];

    beforeEach(() => {
      world = make();
      listeners = [];
    });
    afterEach(async () => {
      for (const listener of listeners) listener.stop();
      await world.close();
    });

    const listen = (handler: RequestHandler, options: Partial<ListenOptions> = {}): Listener => {
      const listener = world.runtime.listen({ ...LISTEN, transport: world.transport, ...options }, handler);
      listeners.push(listener);
      return listener;
    };
    const send = (listener: Listener, request: Partial<ClientRequest> = {}): ClientExchange =>
      sendRequest(
        world.runtime,
        { host: '127.0.0.1', port: listener.port },
        { method: 'POST', path: '/mcp', ...request },
      );
    const whole = async (exchange: ClientExchange): Promise<ClientExchange> => {
      await world.until(
        'the reply is complete',
        () => exchange.state !== 'waiting' && exchange.state !== 'streaming',
      );
      expect(exchange.state).toBe('whole');
      return exchange;
    };

    describe('listener', () => {
      test('a whole reply carries status, headers, length and body', async () => {
        let seen: string[] = [];
        const listener = listen((inbound) => {
          seen = [inbound.method, inbound.path, inbound.query, inbound.peer];
          return {
            status: 201,
            headers: { 'x-one': '1', 'content-type': 'application/json' },
            body: text('{"a":1}'),
          };
        });
        const reply = await whole(send(listener, { method: 'GET', path: '/mcp/a%20b?x=1&y=%2F' }));
        expect([reply.status, reply.headers['x-one'], reply.headers['content-type'], reply.text()]).toEqual([
          201,
          '1',
          'application/json',
          '{"a":1}',
        ]);
        expect(reply.headers['content-length']).toBe('7');
        expect(seen).toEqual(['GET', '/mcp/a%20b', 'x=1&y=%2F', '127.0.0.1']);
      });

      test('a request can be read until its reply is given, turns later too', async () => {
        const listener = listen((inbound) =>
          inbound.readBody().then(
            () =>
              new Promise<Reply>((resolve) => {
                world.runtime.clock.after(20, () => {
                  const seen = [inbound.method, inbound.path, inbound.query, inbound.header('x-a')];
                  resolve({ status: 200, headers: {}, body: text(JSON.stringify(seen)) });
                });
              }),
          ),
        );
        const reply = await whole(
          send(listener, { path: '/p?q', headers: { 'x-a': 'b' }, body: text('{}') }),
        );
        expect(JSON.parse(reply.text())).toEqual(['POST', '/p', 'q', 'b']);
      });

      test('a reply without body, at once and later', async () => {
        const listener = listen((inbound) => {
          const reply = { status: 202, headers: {}, body: null };
          return inbound.path === '/now' ? reply : inbound.readBody().then(() => reply);
        });
        for (const path of ['/now', '/later']) {
          const reply = await whole(send(listener, { path, body: text('x') }));
          expect([reply.status, reply.text()]).toEqual([202, '']);
        }
      });

      test('headers: lower-case names, repeated lines joined, absent is null', async () => {
        const listener = listen((inbound) => {
          const all: string[] = [];
          inbound.eachHeader((header, value) => all.push(`${header}=${value}`));
          const body = JSON.stringify([inbound.header('x-twice'), inbound.header('x-none'), all.sort()]);
          return { status: 200, headers: {}, body: text(body) };
        });
        const reply = await whole(
          send(listener, { method: 'GET', headers: { 'X-Twice': 'a', 'x-twice': 'b' } }),
        );
        expect(JSON.parse(reply.text())).toEqual(['a, b', null, ['host=gateway.test', 'x-twice=a, b']]);
      });

      test('a path without query has none', async () => {
        const listener = listen((inbound) => ({
          status: 200,
          headers: {},
          body: text(`${inbound.path}|${inbound.query}`),
        }));
        expect((await whole(send(listener, { path: '/' }))).text()).toBe('/|');
        expect((await whole(send(listener, { path: '/a//b' }))).text()).toBe('/a//b|');
        expect((await whole(send(listener, { path: '/a?' }))).text()).toBe('/a|');
      });

      const echo: RequestHandler = (inbound) =>
        inbound.readBody().then(
          (body) => ({ status: 200, headers: {}, body }),
          (error: unknown) => ({
            status: error instanceof GatewayError ? error.row.http : 500,
            headers: {},
            body: text(error instanceof GatewayError ? error.code : String(error)),
          }),
        );

      test('bodies arrive byte for byte, with a length and in chunks', async () => {
        const listener = listen(echo);
        for (const size of [0, 1, 1000, 100_000, BODY_LIMIT]) {
          const body = pattern(size);
          expect(Buffer.compare((await whole(send(listener, { body }))).bytes(), body)).toBe(0);
          const chunked = await whole(send(listener, { body, chunkBytes: 7001 }));
          if (world.takesChunks) expect(Buffer.compare(chunked.bytes(), body)).toBe(0);
          else expect(chunked.status).toBe(411);
        }
      });

      test('a body beyond the limit is refused by our own reply', async () => {
        const listener = listen(echo);
        const body = pattern(BODY_LIMIT + 1);
        for (const request of [{ body }, { body, chunkBytes: 50_000 }]) {
          const reply = send(listener, request);
          await world.until('the refusal arrives', () => reply.state === 'whole');
          if (world.takesChunks || request.chunkBytes === undefined)
            expect([reply.status, reply.text()]).toEqual([413, 'GW_SERVER_BODY_SIZE']);
          else expect(reply.status).toBe(411);
        }
        expect((await whole(send(listener, { body: text('still there') }))).text()).toBe('still there');
      });

      test('a body that breaks off is GW_SERVER_BODY_ABORTED', async () => {
        let started = false;
        const outcomes: string[] = [];
        const listener = listen((inbound) => {
          started = true;
          return inbound.readBody().then(
            () => ({ status: 200, headers: {}, body: null }),
            (error: unknown) => {
              outcomes.push(error instanceof GatewayError ? error.code : String(error));
              return { status: 400, headers: {}, body: null };
            },
          );
        });
        const ways = [{ announcedBytes: 100 }, { chunkBytes: 3, announcedBytes: 100 }];
        for (const request of ways.slice(0, world.takesChunks ? 2 : 1)) {
          started = false;
          const chunked = request.chunkBytes !== undefined;
          // In chunks the message would be complete, so a raw head without its last chunk is sent by hand.
          const exchange = chunked ? null : send(listener, { body: text('abc'), ...request });
          const recorder = new SocketRecorder({
            onOpen: (socket) => {
              const head = text(
                'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n',
              );
              socket.write(head, 0, head.length);
            },
          });
          if (chunked) world.runtime.connect({ host: '127.0.0.1', port: listener.port }, null, recorder);
          await world.until('the handler runs', () => started);
          const before = outcomes.length;
          exchange?.leave();
          recorder.socket?.destroy();
          await world.until('the body fails', () => outcomes.length > before);
        }
        expect(outcomes.length).toBe(world.takesChunks ? 2 : 1);
        for (const outcome of outcomes) expect(outcome).toBe('GW_SERVER_BODY_ABORTED');
      });

      test('a stream arrives as it is written', async () => {
        let sink: ReplySink | null = null;
        const listener = listen(() =>
          streamed((opened) => {
            sink = opened;
            opened.write(text('one'));
          }, 'text/event-stream'),
        );
        const reply = send(listener);
        await world.until('the first bytes are there before the second', () => reply.text() === 'one');
        expect(reply.state).toBe('streaming');
        (sink as ReplySink | null)?.write(text(' two'));
        await world.until('the second bytes are there before the end', () => reply.text() === 'one two');
        expect(reply.state).toBe('streaming');
        (sink as ReplySink | null)?.write(text(' three'));
        (sink as ReplySink | null)?.end();
        await whole(reply);
        expect(reply.text()).toBe('one two three');
      });

      test('a stream that is complete in open() is one whole reply', async () => {
        const listener = listen(() =>
          streamed((sink) => {
            sink.write(text('a'));
            sink.write(text('b'));
            sink.end();
            sink.write(text('ignored'));
            sink.end();
          }),
        );
        expect((await whole(send(listener))).text()).toBe('ab');
      });

      test('a stream that ends without bytes is an empty reply', async () => {
        const listener = listen(() => streamed((sink) => world.runtime.clock.after(5, () => sink.end())));
        expect((await whole(send(listener))).text()).toBe('');
      });

      test('an event stream shows its head while it is silent, and later bytes follow', async () => {
        let sink: ReplySink | null = null;
        const listener = listen(() =>
          streamed((opened) => {
            sink = opened;
          }, 'text/event-stream'),
        );
        const reply = send(listener, { method: 'GET' });
        await world.until('the head is there', () => reply.state === 'streaming');
        // A comment line may have come to carry the head; it is not an event.
        expect(reply.text().replace(/^:\n\n/, '')).toBe('');
        (sink as ReplySink | null)?.write(text('data: 1\n\n'));
        await world.until('the event is there', () => reply.text().endsWith('data: 1\n\n'));
        (sink as ReplySink | null)?.end();
        await whole(reply);
      });

      test('fail() shows as a broken reply: at once, after bytes, in a later turn', async () => {
        const listener = listen((inbound) =>
          streamed((sink) => {
            if (inbound.path === '/at-once') return sink.fail();
            sink.write(text('some'));
            if (inbound.path === '/after-bytes') return sink.fail();
            world.runtime.clock.after(20, () => {
              sink.fail();
              sink.write(text('ignored'));
            });
          }),
        );
        for (const path of ['/at-once', '/after-bytes', '/later']) {
          const reply = send(listener, { path });
          await world.until(`${path} breaks`, () => reply.state === 'broken');
        }
      });

      test('a slow client makes write() false, then onDrain comes and nothing is lost', async () => {
        const body = pattern(24 * 1024 * 1024);
        let fulls = 0;
        let drains = 0;
        const listener = listen(() =>
          streamed((sink) => {
            let at = 0;
            const pump = (): void => {
              while (at < body.length) {
                at += 64 * 1024;
                if (sink.write(body.subarray(at - 64 * 1024, at))) continue;
                fulls++;
                return;
              }
              sink.end();
            };
            sink.onDrain(() => {
              drains++;
              pump();
            });
            pump();
          }),
        );
        const reply = send(listener);
        await world.until('the head is there', () => reply.state === 'streaming');
        reply.pause();
        await world.until('the sink is full', () => fulls > drains);
        await world.pass(20);
        expect(reply.state).toBe('streaming');
        reply.resume();
        await whole(reply);
        expect(Buffer.compare(reply.bytes(), body)).toBe(0);
        expect(drains).toBe(fulls);
      });

      test('onAbort: a client that leaves before the reply is noticed, once; the last callback counts', async () => {
        const heard: string[] = [];
        let running = false;
        let answer: (reply: Reply) => void = () => undefined;
        const listener = listen((inbound) => {
          running = true;
          inbound.onAbort(() => heard.push('first'));
          inbound.onAbort(() => heard.push('second'));
          return new Promise<Reply>((resolve) => {
            answer = resolve;
          });
        });
        const reply = send(listener, { method: 'GET' });
        await world.until('the handler runs', () => running);
        reply.leave();
        await world.until('the abort is heard', () => heard.length > 0);
        // An answer that comes too late is nobody's.
        answer({ status: 200, headers: {}, body: text('late') });
        await world.pass(20);
        expect(heard).toEqual(['second']);
      });

      test('onAbort after the body was read', async () => {
        let heard = 0;
        let running = false;
        const listener = listen((inbound) =>
          inbound.readBody().then(() => {
            inbound.onAbort(() => heard++);
            running = true;
            return new Promise<Reply>(() => undefined);
          }),
        );
        const reply = send(listener, { body: text('{}') });
        await world.until('the handler waits', () => running);
        reply.leave();
        await world.until('the abort is heard', () => heard === 1);
      });

      test('onAbort: a client that leaves a stream is noticed, once, and writes are ignored', async () => {
        let heard = 0;
        let sink: ReplySink | null = null;
        let drains = 0;
        const listener = listen((inbound) => {
          inbound.onAbort(() => heard++);
          return streamed((opened) => {
            sink = opened;
            opened.onDrain(() => drains++);
            opened.write(text('x'));
          }, 'text/event-stream');
        });
        const reply = send(listener);
        await world.until('bytes are there', () => reply.text() === 'x');
        reply.leave();
        await world.until('the abort is heard', () => heard > 0);
        (sink as ReplySink | null)?.write(text('y'));
        (sink as ReplySink | null)?.end();
        (sink as ReplySink | null)?.fail();
        await world.pass(20);
        expect([heard, drains]).toEqual([1, 0]);
      });

      test('onAbort is silent once the reply is complete', async () => {
        let heard = 0;
        const listener = listen((inbound) => {
          inbound.onAbort(() => heard++);
          if (inbound.path === '/whole') return { status: 200, headers: {}, body: text('done') };
          return streamed((sink) => {
            sink.write(text('do'));
            world.runtime.clock.after(5, () => {
              sink.write(text('ne'));
              sink.end();
            });
          });
        });
        for (const path of ['/whole', '/stream'])
          expect((await whole(send(listener, { path }))).text()).toBe('done');
        await world.pass(30);
        expect(heard).toBe(0);
      });

      test('a handler that throws costs a bare 500', async () => {
        const listener = listen((inbound) => {
          if (inbound.path === '/sync') throw new TypeError('expected by this test: secret');
          return Promise.reject(new TypeError('expected by this test: secret'));
        });
        for (const path of ['/sync', '/async']) {
          const reply = await whole(send(listener, { path }));
          expect([reply.status, reply.text()]).toEqual([500, '']);
        }
      });

      test('a taken port is GW_RUNTIME_LISTEN', () => {
        const listener = listen(echo);
        let code = '';
        try {
          listen(echo, { port: listener.port });
        } catch (thrown) {
          if (thrown instanceof GatewayError) code = thrown.code;
        }
        expect(code).toBe('GW_RUNTIME_LISTEN');
      });

      test('drain lets running exchanges finish, takes no new ones, and resolves', async () => {
        let answer: (reply: Reply) => void = () => undefined;
        let running = 0;
        let sink: ReplySink | null = null;
        const listener = listen((inbound) => {
          running++;
          if (inbound.path === '/stream') {
            return streamed((opened) => {
              sink = opened;
              opened.write(text('a'));
            });
          }
          return new Promise<Reply>((resolve) => {
            answer = resolve;
          });
        });
        const pending = send(listener, { method: 'GET' });
        const streaming = send(listener, { path: '/stream' });
        await world.until('both run', () => running === 2 && streaming.text() === 'a');
        let drained = false;
        void listener.drain().then(() => {
          drained = true;
        });
        const late = send(listener);
        await world.until(
          'a new client is turned away',
          () => late.state === 'refused' || late.state === 'broken',
        );
        expect(drained).toBe(false);
        answer({ status: 200, headers: {}, body: text('finished') });
        (sink as ReplySink | null)?.end();
        expect((await whole(pending)).text()).toBe('finished');
        await whole(streaming);
        await world.until('the drain is over', () => drained);
      });
    });

    describe('sockets', () => {
      const connect = async (recorder: SocketRecorder, peer: SocketRecorder): Promise<void> => {
        const address = await world.accept(() => peer);
        world.runtime.connect(address, null, recorder);
        expect(recorder.events).toEqual([]);
        await world.until('both ends are open', () => recorder.socket !== null && peer.socket !== null);
      };

      test('bytes keep their order in both directions, and arrays may be kept', async () => {
        const near = new SocketRecorder();
        const far = new SocketRecorder({ onData: (bytes) => void far.socket?.write(bytes, 0, bytes.length) });
        await connect(near, far);
        const all = pattern(60_000);
        for (let at = 0; at < all.length; at += 777) {
          const end = Math.min(all.length, at + 777);
          expect(near.socket?.write(all, at, end)).toBe(end - at);
          if (at % 5 === 0) await world.pass(1);
        }
        await world.until('all came back', () => near.bytes.length === all.length);
        expect(Buffer.compare(near.bytes, all)).toBe(0);
        expect(Buffer.compare(far.bytes, all)).toBe(0);
      });

      test('a peer that does not read makes writes short; onDrain goes on; end() loses nothing', async () => {
        const all = pattern(20 * 1024 * 1024);
        const pump = new Pump(all, () => near.socket?.end());
        const near: SocketRecorder = new SocketRecorder({
          onOpen: (socket) => pump.run(socket),
          onDrain: () => {
            if (near.socket !== null) pump.run(near.socket);
          },
        });
        const far = new SocketRecorder({ onOpen: (socket) => socket.pause() });
        await connect(near, far);
        await world.until('a write was short', () => pump.shorts > 0);
        await world.pass(20);
        const waited = pump.shorts;
        far.socket?.resume();
        await world.until('the peer saw the end', () => far.events.includes('end'));
        expect(Buffer.compare(far.bytes, all)).toBe(0);
        expect(waited).toBeGreaterThan(0);
        await world.until('closed', () => near.closed);
        expect(near.error).toBeNull();
      });

      test('pause() holds bytes back, resume() brings them', async () => {
        const near = new SocketRecorder({ onOpen: (socket) => socket.pause() });
        const far = new SocketRecorder({ onOpen: (socket) => void socket.write(text('hello'), 0, 5) });
        await connect(near, far);
        await world.pass(30);
        expect(near.bytes.length).toBe(0);
        near.socket?.resume();
        await world.until('the bytes are there', () => near.bytes.toString() === 'hello');
      });

      test('the peer ends: onEnd, then onClose, once each', async () => {
        const near = new SocketRecorder();
        const far = new SocketRecorder({
          onOpen: (socket) => {
            socket.write(text('bye'), 0, 3);
            socket.end();
          },
        });
        await connect(near, far);
        await world.until('closed', () => near.closed);
        await world.pass(20);
        expect(near.events).toEqual(['open', 'data', 'end', 'close']);
        expect([near.bytes.toString(), near.error]).toEqual(['bye', null]);
      });

      test('the peer resets: onClose with the reason', async () => {
        const near = new SocketRecorder();
        const far = new SocketRecorder({ onData: () => far.socket?.destroy() });
        await connect(near, far);
        near.socket?.write(text('x'), 0, 1);
        await world.until('closed', () => near.closed);
        expect(near.events.filter((event) => event === 'close')).toEqual(['close']);
        expect(near.error).toContain('ECONNRESET');
      });

      test('end() and destroy(): onClose once, never inside the call; nothing can be written any more', async () => {
        for (const how of ['end', 'destroy'] as const) {
          const near = new SocketRecorder();
          const far = new SocketRecorder();
          await connect(near, far);
          near.socket?.[how]();
          expect(near.closed).toBe(false);
          expect(near.socket?.write(text('x'), 0, 1)).toBe(-1);
          near.socket?.[how]();
          await world.until('both ends closed', () => near.closed && far.closed);
          await world.pass(20);
          expect(near.events).toEqual(['open', 'close']);
          expect(near.error).toBeNull();
        }
      });

      test('nobody there: onConnectError once, after connect() returned', async () => {
        const near = new SocketRecorder();
        world.runtime.connect(world.nowhere, null, near);
        expect(near.events).toEqual([]);
        await world.until('the error is there', () => near.events.length > 0);
        await world.pass(10);
        expect(near.events).toEqual(['connectError']);
        expect(near.error).toContain('ECONNREFUSED');
        expect(near.tls).toBe(false);
      });
    });

    describe('children', () => {
      test('what goes in comes out, until stdin closes', async () => {
        const recorder = new ChildRecorder();
        const child = world.runtime.spawn(world.program('echo'), recorder);
        expect(child.pid).toBeGreaterThan(1);
        child.write(text('one\n'));
        await world.until('the line is back', () => recorder.out === 'one\n');
        child.write(text('two\n'));
        child.closeStdin();
        await world.until('it ended', () => recorder.exited);
        expect([recorder.out, recorder.code, recorder.signal]).toEqual(['one\ntwo\n', 0, null]);
        expect(recorder.events.filter((event) => event === 'exit')).toEqual(['exit']);
        // Neither is an error once it is gone.
        child.write(text('three\n'));
        child.kill('SIGTERM');
      });

      test('the exit code is told', async () => {
        const recorder = new ChildRecorder();
        world.runtime.spawn(world.program('exit7'), recorder);
        await world.until('it ended', () => recorder.exited);
        expect([recorder.code, recorder.signal]).toEqual([7, null]);
      });

      test('onExit comes after all of a large output', async () => {
        const recorder = new ChildRecorder();
        world.runtime.spawn(world.program('flood'), recorder);
        await world.until('it ended', () => recorder.exited);
        expect(recorder.out.length).toBe(FLOOD_BYTES);
        expect(recorder.events.at(-1)).toBe('exit');
      });

      test('stdout and stderr stay apart', async () => {
        const recorder = new ChildRecorder();
        world.runtime.spawn(world.program('stderr'), recorder);
        await world.until('it ended', () => recorder.exited);
        expect([recorder.out, recorder.err]).toEqual(['out\n', 'err\n']);
      });

      test('a child that does not read makes write() false, then onDrain; nothing is lost', async () => {
        const recorder = new ChildRecorder();
        const child = world.runtime.spawn(world.program('deaf'), recorder);
        const part = pattern(100_000);
        let count = 0;
        let free = true;
        for (; free && count < 200; count++) free = child.write(part);
        expect(free).toBe(false);
        child.write(part);
        await world.until('there is room again', () => recorder.drains > 0);
        expect(recorder.drains).toBe(1);
        child.closeStdin();
        await world.until('it ended', () => recorder.exited);
        expect(recorder.out.trim()).toBe(String((count + 1) * part.length));
      });

      test('kill: TERM may be ignored, KILL may not', async () => {
        const recorder = new ChildRecorder();
        const child = world.runtime.spawn(world.program('stubborn'), recorder);
        await world.until('it runs', () => recorder.out === 'ready\n');
        child.kill('SIGTERM');
        await world.pass(60);
        expect(recorder.exited).toBe(false);
        child.kill('SIGKILL');
        await world.until('it ended', () => recorder.exited);
        expect([recorder.code, recorder.signal]).toEqual([null, 'SIGKILL']);
      });

      test('a program that is not there is GW_UPSTREAM_SPAWN, naming it', () => {
        const missing = { command: 'no-such-program-of-ours', args: [], cwd: null, env: {} };
        let error: unknown = null;
        try {
          world.runtime.spawn(missing, new ChildRecorder());
        } catch (thrown) {
          error = thrown;
        }
        expect(error).toBeInstanceOf(GatewayError);
        expect(String(error)).toContain('no-such-program-of-ours');
        expect(error instanceof GatewayError && error.code).toBe('GW_UPSTREAM_SPAWN');
      });
    });

    describe('small doors', () => {
      test('clock: timers in order, cancel cancels, soon comes before a timer', async () => {
        const { clock } = world.runtime;
        const heard: string[] = [];
        const start = clock.now();
        clock.after(30, () => heard.push('30'));
        clock.after(5, () => heard.push('5'));
        const cancelled = clock.after(10, () => heard.push('cancelled'));
        expect(cancelled).not.toBe(0);
        clock.cancel(cancelled);
        clock.cancel(cancelled);
        clock.cancel(0);
        clock.soon(() => heard.push('soon'));
        expect(heard).toEqual([]);
        await world.until('all have fired', () => heard.length === 3);
        expect(heard).toEqual(['soon', '5', '30']);
        expect(clock.now() - start).toBeGreaterThanOrEqual(29);
        expect(clock.wall()).toBeGreaterThan(1_600_000_000_000);
      });

      test('random: as many bytes as asked for, fractions in [0, 1)', () => {
        const { random } = world.runtime;
        for (const count of [0, 1, 16, 1024, 5000, 100_000]) expect(random.bytes(count).length).toBe(count);
        const seen = new Set<string>();
        for (let i = 0; i < 2000; i++) seen.add(Buffer.from(random.bytes(16)).toString('hex'));
        expect(seen.size).toBe(2000);
        const first = random.bytes(8);
        const copy = first.slice();
        random.bytes(4096);
        expect(first).toEqual(copy);
        for (let i = 0; i < 100; i++) {
          const fraction = random.fraction();
          expect(fraction >= 0 && fraction < 1).toBe(true);
        }
      });

      test('files: what was written is read; a missing one has its code', async () => {
        const { files } = world.runtime;
        const path = `/tmp/sluice-contract-${process.pid}-${Math.trunc(performance.now() * 1000)}.txt`;
        expect(await files.exists(path)).toBe(false);
        await files.writeText(path, 'grüße');
        expect([await files.readText(path), await files.exists(path)]).toEqual(['grüße', true]);
        const missing: unknown = await files.readText(`${path}.none`).catch((error: unknown) => error);
        expect(missing instanceof Error && 'code' in missing && missing.code).toBe('ENOENT');
        if (world.runtime.name !== 'sim') rmSync(path);
      });

      test('files: what is made for this user alone is made once, moved in one step, and removed', async () => {
        const { files } = world.runtime;
        const folder = `/tmp/sluice-contract-${process.pid}-${Math.trunc(performance.now() * 1000)}`;
        const [from, to] = [`${folder}/a/from`, `${folder}/a/to`];
        await files.makePrivateFolder(`${folder}/a`);
        await files.makePrivateFolder(`${folder}/a`);
        await files.createPrivate(from, 'new');
        const taken: unknown = await files.createPrivate(from, 'other').catch((error: unknown) => error);
        expect(taken instanceof Error && 'code' in taken && taken.code).toBe('EEXIST');
        await files.writeText(to, 'old');
        await files.rename(from, to);
        expect([await files.readText(to), await files.exists(from)]).toEqual(['new', false]);
        const missing: unknown = await files.rename(from, to).catch((error: unknown) => error);
        expect(missing instanceof Error && 'code' in missing && missing.code).toBe('ENOENT');
        await files.remove(to);
        await files.remove(to);
        expect(await files.exists(to)).toBe(false);
        if (world.runtime.name !== 'sim') rmSync(folder, { recursive: true });
      });

      test('files: a watched one tells of each change, however it came about, until nobody listens any more', async () => {
        const { files } = world.runtime;
        const folder = `/tmp/sluice-contract-${process.pid}-${Math.trunc(performance.now() * 1000)}`;
        const [path, other] = [`${folder}/watched`, `${folder}/other`];
        await files.makePrivateFolder(folder);
        await files.writeText(path, 'one');
        let told = 0;
        const end = files.watch(path, () => {
          told++;
        });
        const changes = [
          () => files.writeText(path, 'two and more'),
          async () => {
            await files.writeText(other, 'three');
            await files.rename(other, path);
          },
          () => files.remove(path),
          () => files.writeText(path, 'four'),
        ];
        for (const [at, change] of changes.entries()) {
          await change();
          await world.until('the change is told', () => told > at);
          expect(told).toBe(at + 1);
        }
        await files.writeText(other, 'another file');
        end();
        await files.writeText(path, 'five');
        if (world.runtime.name !== 'sim') await sleep(300);
        expect(told).toBe(4);
        if (world.runtime.name !== 'sim') rmSync(folder, { recursive: true });
      });

      test('aead: what was sealed opens as it was, and not once a byte of anything differs', () => {
        const { aead } = world.runtime;
        const key = pattern(32);
        const nonce = pattern(12).map((byte) => byte ^ 0x55);
        const bound = text('bound');
        for (const size of [0, 1, 15, 16, 17, 5000]) {
          const plain = pattern(size);
          const sealed = aead.seal(key, nonce, plain, bound);
          expect(sealed.length).toBe(size + 16);
          expect(aead.open(key, nonce, sealed, bound)).toEqual(plain);
          const parts = [key, nonce, sealed, bound] as const;
          for (const [which, part] of parts.entries())
            for (const at of new Set([0, part.length >> 1, part.length - 1])) {
              const other = parts.map((one) => one.slice());
              const changed = other[which] ?? part;
              changed[at] = (changed[at] ?? 0) ^ 1;
              const [k = key, n = nonce, s = sealed, b = bound] = other;
              expect(aead.open(k, n, s, b)).toBeNull();
            }
          for (const length of [0, 1, 15, 16, size + 15])
            if (length < sealed.length)
              expect(aead.open(key, nonce, sealed.slice(0, length), bound)).toBeNull();
          expect(aead.open(key, nonce, sealed, new Uint8Array(0))).toBeNull();
        }
      });

      test('aead: AES-256-GCM as McGrew and Viega’s test case 16 has it, views of larger arrays as well', () => {
        const bytes = (hex: string): Uint8Array => {
          const around = Buffer.from(`00${hex}00`, 'hex');
          return around.subarray(1, around.length - 1);
        };
        const key = bytes('feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308');
        const nonce = bytes('cafebabefacedbaddecaf888');
        const bound = bytes('feedfacedeadbeeffeedfacedeadbeefabaddad2');
        const plain = bytes(
          'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
        );
        const sealed = world.runtime.aead.seal(key, nonce, plain, bound);
        expect(Buffer.from(sealed).toString('hex')).toBe(
          '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662' +
            '76fc6ece0f4e1768cddf8853bb2d551b',
        );
        expect(
          world.runtime.aead.open(key, nonce, bytes(Buffer.from(sealed).toString('hex')), bound),
        ).toEqual(new Uint8Array(plain));
      });
    });
  });
}
