// The door: hosts, origins, media types, sizes; and the list of exchanges under way.
// Run by `bun test`; pure, no sockets.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { emptyHeaders } from '../../../src/exchange/client-headers.ts';
import type { Exchange } from '../../../src/exchange.ts';
import { checkBodyHead, checkStreamHead, Door } from '../../../src/server/admit.ts';
import { ExchangeList } from '../../../src/server/exchanges.ts';
import { snapshotOf } from '../../fixtures/plane.ts';

const { front } = snapshotOf({ servers: { a: { url: 'http://127.0.0.1:1/mcp' } } });

function atDoor(host: string | null, origin: string | null = null): string {
  return new Door(front).check({ ...emptyHeaders(), host, origin })?.code ?? 'in';
}

describe('door', () => {
  test('hosts', () => {
    for (const host of ['localhost', 'LOCALHOST:1', '127.0.0.1:8700', '[::1]', '[::1]:80'])
      expect(atDoor(host)).toBe('in');
    for (const host of [
      null,
      '',
      'evil',
      'localhost.evil',
      '127.0.0.1, evil',
      '127.0.0.1:',
      '127.0.0.1:x',
      'a@localhost',
      '[::1',
    ])
      expect(atDoor(host)).toBe('GW_SERVER_HOST');
  });

  test('origins', () => {
    for (const origin of ['http://localhost:3000', 'https://127.0.0.1', 'http://[::1]:5'])
      expect(atDoor('localhost', origin)).toBe('in');
    for (const origin of [
      'null',
      'http://evil',
      'http://localhost.evil',
      'http://evil/localhost',
      'localhost',
    ])
      expect(atDoor('localhost', origin)).toBe('GW_SERVER_ORIGIN');
  });

  test('a host that was let in once is no licence for another, nor for another origin', () => {
    const door = new Door(front);
    expect(door.check({ ...emptyHeaders(), host: 'localhost' })).toBeNull();
    expect(door.check({ ...emptyHeaders(), host: 'evil' })?.code).toBe('GW_SERVER_HOST');
    expect(door.check({ ...emptyHeaders(), host: null })?.code).toBe('GW_SERVER_HOST');
    expect(door.check({ ...emptyHeaders(), host: 'localhost', origin: 'http://evil' })?.code).toBe(
      'GW_SERVER_ORIGIN',
    );
  });

  test('limits of the head are inclusive', () => {
    const size = (count: number, bytes: number) =>
      new Door(front).check({ ...emptyHeaders(), host: 'localhost', count, bytes })?.code ?? 'in';
    expect(size(front.headerCountMax, front.headerBytesMax)).toBe('in');
    expect(size(front.headerCountMax + 1, 0)).toBe('GW_SERVER_HEAD_SIZE');
    expect(size(0, front.headerBytesMax + 1)).toBe('GW_SERVER_HEAD_SIZE');
  });

  test('what a POST and a GET may say', () => {
    const post = (contentType: string | null, accept: string | null = null) =>
      checkBodyHead({ ...emptyHeaders(), contentType, accept }, front)?.code ?? 'in';
    expect(post('application/json')).toBe('in');
    expect(post('Application/JSON ; charset=utf-8', '*/*')).toBe('in');
    expect(post('text/json')).toBe('GW_SERVER_MEDIA');
    expect(post(null)).toBe('GW_SERVER_MEDIA');
    expect(post('application/json', 'text/html')).toBe('GW_SERVER_ACCEPT');
    expect(checkStreamHead({ ...emptyHeaders(), accept: 'text/event-stream' })).toBeNull();
    expect(checkStreamHead({ ...emptyHeaders(), accept: null })?.code).toBe('GW_SERVER_ACCEPT');
  });
});

test('the list of exchanges holds what was added and not removed, whatever the order', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { maxLength: 60 }), (steps) => {
      const list = new ExchangeList();
      // Only the links matter to the list.
      const all = Array.from({ length: 10 }, () => ({ before: null, after: null }) as unknown as Exchange);
      const model = new Set<Exchange>();
      for (const step of steps) {
        const one = all[step];
        if (one === undefined) continue;
        if (model.delete(one)) expect(list.remove(one)).toBe(true);
        else {
          expect(list.remove(one)).toBe(false);
          list.add(one);
          model.add(one);
        }
        expect(list.size).toBe(model.size);
        expect(new Set(list.all())).toEqual(model);
      }
    }),
    { numRuns: 300 },
  );
});
