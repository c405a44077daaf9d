// The contract of Scanner.withRoutes(), for any implementation: what a scan finds in a route table, and that it stays a scan.
// Called by scanner.test.ts. Promises: what is found is checked by taking so many bytes off the raw message and parsing it.
import { describe, expect, test } from 'bun:test';
import { concat, decode, encode } from '../../src/base/bytes.ts';
import { GatewayError } from '../../src/base/errors.ts';
import { type RouteEntry, RouteTable } from '../../src/route/table.ts';
import { ENVELOPE, ROUTE, SCAN, type Scanner } from '../../src/scan/contract.ts';
import { RouteModel } from '../fixtures/route-model.ts';
import { CORPUS, VERDICTS } from './scanner-corpus.ts';

const LONG = `${'n'.repeat(64)}__`;
const prefix = (endpoint: number, text: string, upstream: number): RouteEntry => ({
  endpoint,
  kind: text.endsWith('+') ? 'uri' : 'name',
  match: 'prefix',
  text,
  upstream,
});

/** Servers whose names hold marks' halves, beside exact names that are other servers' own. */
export const ENTRIES: readonly RouteEntry[] = [
  ...['a__', 'a-b__', 'files__', 'x___', 'x__', 'a__b__', 'é__', '__', LONG].map((text, i) =>
    prefix(0, text, i),
  ),
  ...['a+', 'files+', 'a+b+', '+'].map((text, i) => prefix(0, text, i)),
  prefix(1, 'a__', 7),
  prefix(1, 'a+', 8),
  { endpoint: 0, kind: 'name', match: 'exact', text: 'a__exact', upstream: 20, strip: 3 },
  { endpoint: 0, kind: 'name', match: 'exact', text: 'plain', upstream: 21 },
  { endpoint: 0, kind: 'name', match: 'exact', text: 'ähnlich', upstream: 22, strip: 2 },
  { endpoint: 0, kind: 'uri', match: 'exact', text: 'file:///a+b', upstream: 23 },
];

const model = new RouteModel(ENTRIES);

const NAMES = [
  ...[
    'a__t',
    'a__b__t',
    'a__c__t',
    'a-b__t',
    'x___t',
    'x__t',
    'x____',
    'files__',
    'files__é',
    'é__x',
    'b__t',
  ],
  ...['a__exact', 'a__exactly', 'plain', 'plain2', 'ähnlich', '', '_', '__', '__t', 'a_', 'a', 'A__t'],
  ...[`${LONG}t`, `n${LONG}t`, '_'.repeat(200), `${'y'.repeat(63)}__`, 'tool\n', '"q"__', 'a__\\', 'a__😀'],
];
const URIS = [
  'a+test://1',
  'a+b+x',
  'a+',
  '+',
  '+x',
  'b+x',
  'files+file:///é',
  'file:///a+b',
  'file:///a',
  '',
];

const NAME_METHODS = ['tools/call', 'prompts/get'];
const URI_METHODS = ['resources/read', 'resources/subscribe', 'resources/unsubscribe'];
const TASK_METHODS = ['tasks/get', 'tasks/update', 'tasks/cancel', 'tasks/result'];

const request = (method: unknown, params: unknown, id: unknown = 1): string =>
  JSON.stringify({ jsonrpc: '2.0', id, method, params });

const complete = (ref: unknown): string => request('completion/complete', { ref, argument: {} });

/** Messages with every method, name and URI, and others that go nowhere. */
export const MESSAGES: readonly string[] = [
  ...NAME_METHODS.flatMap((method) =>
    NAMES.map((name) => request(method, { name, arguments: { uri: 'a+x' } })),
  ),
  ...URI_METHODS.flatMap((method) => URIS.map((uri) => request(method, { uri }))),
  ...TASK_METHODS.flatMap((method) => URIS.map((taskId) => request(method, { taskId }))),
  ...NAMES.map((name) => complete({ type: 'ref/prompt', name })),
  ...URIS.map((uri) => complete({ type: 'ref/resource', uri, name: 'a__t' })),
  ...[5, null, true, {}, ['a__t'], undefined].map((name) => request('tools/call', { name })),
  ...[5, null, [], 'x', undefined].map((params) => request('tools/call', params)),
  ...['ping', 'tools/list', 'tools/calls', 'Tools/call', 'tasks/list', 'toolz/call', ''].map((method) =>
    request(method, { name: 'a__t', uri: 'a+x', taskId: 'a+x' }),
  ),
  request(5, { name: 'a__t' }),
  complete(5),
  complete({}),
  request('tools/call', { name: 'a__t' }, undefined),
  '{"jsonrpc":"2.0","id":1,"result":{"name":"a__t"}}',
  `[${request('tools/call', { name: 'a__t' })}]`,
  '"tools/call"',
  '{"params":{"name":"a__t","_meta":{}},"id":"x","method":"tools/call","jsonrpc":"2.0"}',
  ' {\n"id" : 1 ,"method": "tools/call" , "params" : { "name" :\t"files__read"  } } ',
];

/** The same strings with one character escaped, which JSON lets any writer do. */
export const ESCAPED: readonly string[] = [
  '{"id":1,"method":"tools/call","params":{"name":"a_\\u005ft"}}',
  '{"id":1,"method":"tools\\/call","params":{"name":"a__t"}}',
  '{"id":1,"method":"resources/read","params":{"uri":"a+file:\\/\\/x"}}',
  '{"id":1,"method":"tools/c\\u0061ll","params":{"name":"a\\u005f_t"}}',
];

/** What an envelope's routing says of a message: like RouteModel.judge(), or `escaped`. */
export function verdictOf(bytes: Uint8Array, envelope: Int32Array): unknown {
  const route = envelope[ENVELOPE.route] ?? 0;
  if (route === ROUTE.none) return 'none';
  if (route === ROUTE.escaped) return 'escaped';
  if (route === ROUTE.unknown) return 'unknown';
  const start = envelope[envelope[ENVELOPE.routePlace] ?? 0] ?? 0;
  const ownStart = start + 1 + (envelope[ENVELOPE.routeStrip] ?? 0);
  const cut = concat([bytes.subarray(0, start + 1), bytes.subarray(ownStart)]);
  const whole = JSON.parse(decode(cut)) as { params: Record<string, unknown> };
  const place = envelope[ENVELOPE.routePlace];
  const holder = place === ENVELOPE.refName || place === ENVELOPE.refUri ? whole.params.ref : whole.params;
  const key = place === ENVELOPE.name || place === ENVELOPE.refName ? 'name' : 'uri';
  const own = (holder as Record<string, unknown>)[place === ENVELOPE.taskId ? 'taskId' : key];
  return { index: route, own };
}

const isEscaped = (message: string): boolean => /"(?:name|uri|taskId|method)":"[^"]*\\/.test(message);

/** Runs the suite on the scanner that `make` gives. */
export function routeSuite(label: string, make: () => Scanner): void {
  describe(`routes through ${label}`, () => {
    const scanned = (scan: ReturnType<Scanner['withRoutes']>, text: string | Uint8Array, endpoint = 0) => {
      const bytes = typeof text === 'string' ? encode(text) : text;
      const envelope: Int32Array = new Int32Array(ENVELOPE.length).fill(77);
      const code = scan.scan(bytes, envelope, endpoint);
      return { code, envelope, bytes };
    };

    test('every kind of message is routed as the model says', () => {
      const table = RouteTable.of(ENTRIES);
      const scan = make().withRoutes(table.memory);
      for (const endpoint of [0, 1, 2]) {
        for (const message of MESSAGES) {
          const { code, envelope, bytes } = scanned(scan, message, endpoint);
          const verdict = verdictOf(bytes, envelope);
          const wanted = model.judge(endpoint, message);
          expect([message, code]).toEqual([message, SCAN.ok]);
          expect([message, endpoint, verdict]).toEqual([
            message,
            endpoint,
            isEscaped(message) && wanted !== 'none' ? 'escaped' : wanted,
          ]);
          expect(envelope[ENVELOPE.routeEpoch]).toBe(
            typeof verdict === 'object' || (verdict === 'unknown' && /"[^"]*"$/.test(raw(bytes, envelope)))
              ? 1
              : -1,
          );
        }
      }
      for (const message of ESCAPED) {
        const { bytes, envelope } = scanned(scan, message);
        expect([message, verdictOf(bytes, envelope)]).toEqual([message, 'escaped']);
      }
    });

    test('it is the scan that it would be without', () => {
      const scanner = make();
      const scan = scanner.withRoutes(RouteTable.of(ENTRIES).memory);
      const plain = new Int32Array(ENVELOPE.length);
      for (const text of [...CORPUS, ...MESSAGES, ...VERDICTS.map(([, one]) => one)]) {
        const bytes = typeof text === 'string' ? encode(text) : Uint8Array.from(text);
        const { code, envelope } = scanned(scan, bytes);
        expect(code).toBe(scanner.scan(bytes, 0, bytes.length, plain));
        expect([...plain.subarray(ENVELOPE.route)]).toEqual([-1, -1, -1, -1]);
        expect(envelope.subarray(0, ENVELOPE.route)).toEqual(plain.subarray(0, ENVELOPE.route));
        if (code !== SCAN.ok) expect(envelope).toEqual(plain);
      }
    });

    test('what is published next is what is found next', () => {
      const table = RouteTable.create(100, 2_000);
      const scan = make().withRoutes(table.memory);
      const message = request('tools/call', { name: 'a__t' });
      const route = () => [...scanned(scan, message).envelope.subarray(ENVELOPE.route)];
      expect(route()).toEqual([ROUTE.unknown, -1, 0, ENVELOPE.name]);
      for (let epoch = 1; epoch < 40; epoch++) {
        expect(table.publish(epoch % 5 === 0 ? [] : [prefix(0, 'a__', epoch)])).toBe(true);
        expect(route()).toEqual(
          epoch % 5 === 0 ? [ROUTE.unknown, -1, epoch, ENVELOPE.name] : [epoch, 3, epoch, ENVELOPE.name],
        );
      }
    });

    test('a table lives as long as what looks up in it', () => {
      const scanner = make();
      const message = request('tools/call', { name: 'a__t' });
      const scans = Array.from({ length: 40 }, (_, i) =>
        scanner.withRoutes(RouteTable.of([prefix(0, 'a__', i)]).memory),
      );
      for (let round = 0; round < 5; round++) {
        Bun.gc(true);
        // Whatever was freed is likely to be handed out again, and written to.
        for (let i = 0; i < 100; i++) new Int32Array(new SharedArrayBuffer(1 << 12)).fill(-1);
        scans.forEach((scan, i) => {
          expect(scanned(scan, message).envelope[ENVELOPE.route]).toBe(i);
        });
      }
      for (let i = 0; i < 2_000; i++) scanner.withRoutes(RouteTable.create(1, 1).memory);
      Bun.gc(true);
      expect(
        scanned(scans[7] ?? scanner.withRoutes(new SharedArrayBuffer(0)), message).envelope[ENVELOPE.route],
      ).toBe(7);
    });

    test('a memory that is no route table, or a call without room, is a fault of ours', () => {
      const scanner = make();
      const { memory } = RouteTable.of(ENTRIES);
      const longer = new SharedArrayBuffer(memory.byteLength + 64);
      new Uint8Array(longer).set(new Uint8Array(memory));
      for (const bad of [new SharedArrayBuffer(0), new SharedArrayBuffer(4_096), longer])
        expect(() => scanner.withRoutes(bad)).toThrow(GatewayError);
      const scan = scanner.withRoutes(memory);
      const bytes = encode('{}');
      expect(() => scan.scan(bytes, new Int32Array(ENVELOPE.length - 1), 0)).toThrow(GatewayError);
      expect(() => scan.scan(bytes, new Int32Array(ENVELOPE.length), -1)).toThrow(GatewayError);
    });
  });
}

/** The raw value that was looked up, '' when there is none. */
function raw(bytes: Uint8Array, envelope: Int32Array): string {
  const place = envelope[ENVELOPE.routePlace] ?? -1;
  if (place < 0 || (envelope[place] ?? -1) < 0) return '';
  return decode(bytes, envelope[place], envelope[place + 1]);
}
