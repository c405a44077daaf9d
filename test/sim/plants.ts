// Bugs on purpose, planted around the world that a data worker sees: what finds none of them finds nothing.
// Called by world.ts. Promises: rare enough that most of a run is right; the gateway's own code stays as it is.
import { decode, encode } from '../../src/base/bytes.ts';
import { PoolCell } from '../../src/memory/cells.ts';
import { attachMemory } from '../../src/memory/memory.ts';
import type { Reply, Runtime, Socket, SocketHandler } from '../../src/runtime/runtime.ts';
import type { Order, StartOrder } from '../../src/thread.ts';
import { Dice } from './dice.ts';
import { parseRpc } from './rpc.ts';

/** Names of the bugs. */
export const PLANTS = ['id-mix-up', 'leaked-permit', 'double-execution'] as const;

/** A bug. */
export type Plant = (typeof PLANTS)[number];

/** The world of a worker with a bug in it. */
export function planted(plant: Plant, runtime: Runtime, seed: number): Runtime {
  const dice = new Dice(seed ^ 0xb06);
  if (plant === 'id-mix-up') return withMixedIds(runtime, dice);
  if (plant === 'double-execution') return withDoubles(runtime, dice);
  return withKeptPermits(runtime, dice);
}

/** Share of cases in which a bug shows. */
const SHARE = 0.05;

/** Now and then a whole reply bears the id of the one before. */
function withMixedIds(runtime: Runtime, dice: Dice): Runtime {
  let before: string | number | null = null;
  const mixed = (reply: Reply): Reply => {
    if (!(reply.body instanceof Uint8Array) || reply.status !== 200) return reply;
    const message = parseRpc(decode(reply.body));
    if (message?.id === undefined) return reply;
    const id = before;
    before = message.id;
    if (id === null || id === message.id || !dice.chance(SHARE)) return reply;
    return { ...reply, body: encode(JSON.stringify({ ...message, id })) };
  };
  return {
    ...runtime,
    listen: (options, handler) =>
      runtime.listen(options, (inbound) => {
        const reply = handler(inbound);
        return reply instanceof Promise ? reply.then(mixed) : mixed(reply);
      }),
  };
}

/** Passes a handler's events on. */
function passing(inner: SocketHandler): SocketHandler {
  return {
    onOpen: (socket) => inner.onOpen(socket),
    onData: (bytes) => inner.onData(bytes),
    onDrain: () => inner.onDrain(),
    onEnd: () => inner.onEnd(),
    onClose: (error) => inner.onClose(error),
    onConnectError: (error, tls) => inner.onConnectError(error, tls),
  };
}

/** Now and then a permit is taken that nobody gives back, when a connection ends. */
function withKeptPermits(runtime: Runtime, dice: Dice): Runtime {
  let start: StartOrder | null = null;
  const keepOne = (): void => {
    if (start === null || !dice.chance(SHARE)) return;
    const upstream = dice.whole(0, start.snapshot.servers.length - 1);
    new PoolCell(attachMemory(start.memory), upstream, start.place.index).acquire(Number.MAX_SAFE_INTEGER);
  };
  const { scope } = runtime;
  return {
    ...runtime,
    scope:
      scope === null
        ? null
        : {
            post: (message) => scope.post(message),
            onMessage: (callback) =>
              scope.onMessage((message, ports) => {
                // Only src/gateway/ posts to a worker, and only orders.
                const order = message as Order;
                if (order.kind === 'start') start = order;
                callback(message, ports);
              }),
          },
    connect: (address, tls, handler) =>
      runtime.connect(address, tls, {
        ...passing(handler),
        onClose: (error) => {
          keepOne();
          handler.onClose(error);
        },
      }),
  };
}

/** Now and then what was written to a server is written once more, on a connection of its own, or to a process twice. */
function withDoubles(runtime: Runtime, dice: Dice): Runtime {
  return {
    ...runtime,
    connect: (address, tls, handler) => {
      const doubled = (socket: Socket): Socket => ({
        write(bytes, start, end) {
          const taken = socket.write(bytes, start, end);
          if (taken === end - start && dice.chance(SHARE)) sendAlone(bytes.slice(start, end));
          return taken;
        },
        end: () => socket.end(),
        destroy: () => socket.destroy(),
        pause: () => socket.pause(),
        resume: () => socket.resume(),
      });
      const sendAlone = (bytes: Uint8Array): void => {
        let alone: Socket | null = null;
        runtime.connect(address, tls, {
          onOpen: (socket) => {
            alone = socket;
            socket.write(bytes, 0, bytes.length);
          },
          // Whatever it answers, once is enough.
          onData: () => alone?.destroy(),
          onDrain: () => undefined,
          onEnd: () => undefined,
          onClose: () => undefined,
          onConnectError: () => undefined,
        });
      };
      runtime.connect(address, tls, {
        ...passing(handler),
        onOpen: (socket) => handler.onOpen(doubled(socket)),
      });
    },
    spawn(options, handler) {
      const child = runtime.spawn(options, handler);
      return {
        pid: child.pid,
        write(bytes) {
          const room = child.write(bytes);
          return dice.chance(SHARE) ? child.write(bytes.slice()) : room;
        },
        closeStdin: () => child.closeStdin(),
        kill: (signal) => child.kill(signal),
      };
    },
  };
}
