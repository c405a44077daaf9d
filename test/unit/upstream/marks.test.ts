// What the HTTP upstream says of where a request's time went: sent, waited for a connection, connected, replied.
// Runs src/upstream/pool.ts and http-connection.ts over played sockets and a clock that the test moves.
import { describe, expect, test } from 'bun:test';
import { ExchangeTiming } from '../../../src/observe/timing.ts';
import { HttpWorld, httpSpec, reply } from './http-world.ts';

function timingAt(world: HttpWorld): ExchangeTiming {
  return new ExchangeTiming(world.clock.now());
}

function phases(timing: ExchangeTiming): readonly number[] {
  return [timing.queueMs, timing.connectMs, timing.upstreamMs, timing.gatewayMs].map(Math.round);
}

describe('marks', () => {
  test('tell connecting from answering', () => {
    const world = new HttpWorld();
    const marks = timingAt(world);
    world.send({ marks });
    world.clock.advance(30);
    const socket = world.attemptAt(0).accept();
    world.clock.advance(20);
    socket.say(reply('a'));
    marks.endAt(world.clock.now());
    expect([marks.sends, ...phases(marks)]).toEqual([1, 0, 30, 20, 0]);
  });

  test('tell the wait for a connection that another request has', () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 1 }));
    world.send();
    const socket = world.attemptAt(0).accept();
    const marks = timingAt(world);
    world.send({ marks });
    world.clock.advance(40);
    socket.say(reply('first'));
    world.clock.advance(10);
    socket.say(reply('second'));
    marks.endAt(world.clock.now());
    expect([marks.sends, ...phases(marks)]).toEqual([1, 40, 0, 10, 0]);
  });

  test('count what was waited for in vain: in the queue, and for a connection', () => {
    const world = new HttpWorld(httpSpec({ connectionsMax: 1 }));
    const connecting = timingAt(world);
    const queued = timingAt(world);
    world.send({ marks: connecting });
    const second = world.send({ marks: queued });
    world.clock.advance(25);
    second.call.abort();
    world.attemptAt(0).refuse();
    world.clock.turn();
    for (const marks of [connecting, queued]) marks.endAt(world.clock.now());
    expect([connecting.sends, ...phases(connecting)]).toEqual([0, 0, 25, 0, 0]);
    expect([queued.sends, ...phases(queued)]).toEqual([0, 25, 0, 0, 0]);
  });

  test('a reply that comes in pieces is the server’s until its end', () => {
    const world = new HttpWorld();
    const marks = timingAt(world);
    world.send({ marks });
    const socket = world.attemptAt(0).accept();
    world.clock.advance(5);
    socket.say('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\nab');
    world.clock.advance(50);
    socket.say('cd');
    marks.endAt(world.clock.now());
    expect(phases(marks)).toEqual([0, 0, 55, 0]);
  });

  test('a request without marks is sent as ever', () => {
    const world = new HttpWorld();
    const { sink } = world.send();
    world.attemptAt(0).accept().say(reply('a'));
    expect(sink.text).toBe('a');
  });
});
