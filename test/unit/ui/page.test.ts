// The rest of what the page works out: places, figures, differences, curves, lists, troubles, settings.
// Run by bun test. Promises: no browser.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { Exchange, OverviewPoint, Server, Status } from '../../../src/ui/api/types.ts';
import { diffLines, linesOf } from '../../../src/ui/model/diff.ts';
import { ago, bytes, count, duration, percent, plural } from '../../../src/ui/model/format.ts';
import { hrefOf, placeOf, tokenIn, VIEWS } from '../../../src/ui/model/route.ts';
import { addPoint, columnsOf } from '../../../src/ui/model/series.ts';
import { draftFor, kindOf, settingsOf, wordsIn } from '../../../src/ui/model/settings-form.ts';
import { isShown, joined, NO_FILTER } from '../../../src/ui/model/traffic.ts';
import { troubleIn } from '../../../src/ui/model/trouble.ts';

describe('places', () => {
  test('an address gives its place back', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...VIEWS),
        fc.array(fc.string({ minLength: 1 }), { maxLength: 2 }),
        (view, parts) => {
          expect(placeOf(hrefOf(view, ...parts))).toEqual({ view, parts });
        },
      ),
      { numRuns: 100 },
    );
    expect(placeOf('')).toEqual({ view: 'overview', parts: [] });
    expect(placeOf('#/nowhere/%zz')).toEqual({ view: 'overview', parts: [] });
  });

  test('a token is one only when it is all there is', () => {
    expect(tokenIn('#token=abc%2Bd')).toBe('abc+d');
    expect(tokenIn('#/servers')).toBeNull();
  });
});

describe('figures', () => {
  test('are short, with their units', () => {
    expect([0, 950, 1200, 34_000, 2_500_000, 0.5].map(count)).toEqual([
      '0',
      '950',
      '1.2k',
      '34k',
      '2.5M',
      '0.5',
    ]);
    expect([12, 1500, 20_300_000, 3.2e9].map(bytes)).toEqual(['12 B', '1.5 kB', '20.3 MB', '3.2 GB']);
    expect([0.083, 12.34, 1500, 185_000, 5_400_000, 4e8].map(duration)).toEqual([
      ...['0.08 ms', '12.3 ms', '1.5 s', '3 min', '1.5 h', '4.6 d'],
    ]);
    expect([count(null), bytes(undefined), duration(Number.NaN), percent(1, 0)]).toEqual([
      '–',
      '–',
      '–',
      '–',
    ]);
    expect([percent(1, 3), plural(1, 'server'), plural(2, 'server')]).toEqual([
      '33.3 %',
      '1 server',
      '2 servers',
    ]);
    expect([ago('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:00:05.9Z')), ago(null, 0)]).toEqual([
      '5 s ago',
      '–',
    ]);
  });
});

describe('differences', () => {
  test('give both texts back', () => {
    const lines = fc.array(fc.constantFrom('a', 'b', 'c', ''), { maxLength: 12 });
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        const diff = diffLines(before, after);
        expect(diff.filter(({ kind }) => kind !== 'new').map(({ text }) => text)).toEqual(before);
        expect(diff.filter(({ kind }) => kind !== 'gone').map(({ text }) => text)).toEqual(after);
      }),
      { numRuns: 200 },
    );
  });

  test('show no more than what differs, whatever the order of keys', () => {
    const diff = diffLines(linesOf({ b: 1, a: 2 }), linesOf({ a: 2, b: 3 }));
    expect(
      diff.filter(({ kind }) => kind !== 'same').map(({ kind, text }) => `${kind} ${text.trim()}`),
    ).toEqual(['gone "b": 1', 'new "b": 3']);
    expect(linesOf(null)).toEqual([]);
  });

  test('huge texts are shown without being compared', () => {
    const many = Array.from({ length: 1500 }, (_, at) => String(at));
    expect(diffLines(many, many)).toHaveLength(3000);
  });
});

const point = (second: number, rate = 1): OverviewPoint => ({
  at: new Date(second * 1000).toISOString(),
  ...{
    exchangesPerSecond: rate,
    errorsPerSecond: 0,
    p50Ms: null,
    p99Ms: null,
    activeExchanges: 0,
    cpuPercent: 0,
  },
  ...{ rssBytes: 0, sessions: 0, workers: [] },
});

describe('curves', () => {
  test('are bounded, grow, and have gaps where nothing is known', () => {
    let list: readonly OverviewPoint[] = [];
    for (let second = 1; second <= 2000; second++) list = addPoint(list, point(second));
    expect(list).toHaveLength(1800);
    expect(addPoint(list, point(2000))).toBe(list);
    const few = [point(100, 1), point(101, 2), point(110, 3)];
    const span = { nowMs: 110_000, windowMs: 60_000 };
    expect(columnsOf(few, [(one) => one.exchangesPerSecond], span)).toEqual([
      [100, 101, 102, 110],
      [1, 2, null, 3],
    ]);
    expect(columnsOf(few, [], { ...span, windowMs: 5000 })).toEqual([[110]]);
  });
});

const exchange = (key: string, second: number, part: Partial<Exchange> = {}): Exchange => ({
  key,
  at: new Date(second * 1000).toISOString(),
  ...{ worker: 0, endpoint: '/mcp', server: 'a', method: 'tools/call', name: 'find', id: '1', status: 200 },
  ...{ outcome: 'ok', errorCode: null, durationMs: 1, phases: null, replica: 0, sends: 1, isCached: false },
  ...{ trace: null, requestBytes: 1, replyBytes: 1, request: '{"query":"Water"}' },
  ...part,
});

describe('traffic', () => {
  test('news join at the head, none twice', () => {
    const list = [exchange('b', 2), exchange('a', 1)];
    expect(joined(list, [exchange('c', 3), exchange('b', 2)]).map(({ key }) => key)).toEqual(['c', 'b', 'a']);
    expect(joined(list, [exchange('a', 1)])).toBe(list);
    const late = exchange('d', 1, { durationMs: 9000 });
    expect(joined(list, [late])[0]).toBe(late);
    const many = Array.from({ length: 400 }, (_, at) => exchange(String(at), at));
    expect(joined(list, many)).toHaveLength(300);
  });

  test('filters look at every part', () => {
    const one = exchange('a', 1);
    const shown = (part: Partial<typeof NO_FILTER>): boolean => isShown(one, { ...NO_FILTER, ...part });
    expect([shown({}), shown({ search: 'WATER' }), shown({ server: 'a', outcome: 'ok' })]).toEqual([
      true,
      true,
      true,
    ]);
    expect([shown({ search: 'wine' }), shown({ server: 'b' }), shown({ outcome: 'failed' })]).toEqual([
      false,
      false,
      false,
    ]);
    expect([shown({ endpoint: '/mcp/a' }), shown({ method: 'ping' })]).toEqual([false, false]);
  });
});

describe('troubles', () => {
  const status: Status = {
    ...{
      version: '1',
      runtime: 'bun',
      pid: 1,
      startedAt: '',
      uptimeMs: 1,
      url: '',
      adminUrl: '',
      configPath: null,
    },
    ...{
      epoch: 1,
      isReady: true,
      isDraining: false,
      readiness: [{ check: 'listener', ok: true, detail: '' }],
    },
    scanner: { name: '', kernel: '', reason: '' },
    registry: { state: 'ok', path: null, detail: '' },
    workers: [{ index: 0, generation: 0, state: 'serving', restarts: 0, activeExchanges: 0 }],
    memory: { rssBytes: 0, sharedBytes: 0, heapBytes: 0 },
    cpu: { userMs: 0, systemMs: 0 },
  };
  const breaker = { state: 'closed', isForced: false, failures: 0, successes: 0, sinceMs: null } as const;
  const pool = { total: 0, busy: 0, idle: 0, waiting: 0, connects: 0, reuses: 0, failures: 0 };
  const replica = { index: 0, address: 'http://a', weight: 1, breaker, pool, isEjected: false };
  const server: Server = {
    ...{
      name: 'a',
      origin: 'registry',
      version: 1,
      isEnabled: true,
      isShadowed: false,
      problem: null,
      changedAt: null,
    },
    ...{ settings: {}, transport: 'http', era: 'modern', state: 'serving', endpoint: '/mcp/a', children: [] },
    ...{
      sessions: 0,
      cache: null,
      faults: [],
      counts: { exchanges: 0, ok: 0, refused: 0, failed: 0, abandoned: 0 },
    },
    replicas: [replica],
  };

  test('nothing is wrong when nothing is', () => {
    expect(troubleIn(status, [server])).toEqual([]);
    expect(troubleIn(null, [])).toEqual([]);
  });

  test('everything that is wrong is named, worst first', () => {
    const open = { ...replica, breaker: { ...breaker, state: 'open', isForced: true } } as const;
    const sick: Status = {
      ...status,
      readiness: [{ check: 'listener', ok: false, detail: 'no' }],
      registry: { state: 'read-only', path: null, detail: 'full' },
      workers: [{ index: 3, generation: 0, state: 'down', restarts: 2, activeExchanges: 0 }],
    };
    const titles = troubleIn(sick, [
      { ...server, state: 'failing', replicas: [open], problem: 'no such command' },
      { ...server, isEnabled: false, state: 'failing' },
    ]).map(({ title }) => title);
    expect(titles).toEqual([
      ...['Not ready: listener', 'Worker 3 is down', 'a is not served', 'a is failing'],
      ...['The registry is read-only', 'a: it has its breaker open'],
    ]);
    expect(troubleIn({ ...sick, isDraining: true }, [])[0]?.title).toBe('The gateway is draining');
  });
});

describe('settings of a server', () => {
  const made = (part: Partial<ReturnType<typeof draftFor>>) =>
    settingsOf({ ...draftFor('a', null), ...part });

  test('an address with headers, a command with arguments and variables', () => {
    expect(made({ url: ' https://a.example/mcp ', headers: 'Authorization: Bearer a:b\n\nX: y' })).toEqual({
      settings: { url: 'https://a.example/mcp', headers: { Authorization: 'Bearer a:b', X: 'y' } },
    });
    expect(made({ kind: 'stdio', command: `npx -y "two words" 'it''s' a\\ b ""`, env: 'A=1=2' })).toEqual({
      settings: { command: 'npx', args: ['-y', 'two words', 'its', 'a b', ''], env: { A: '1=2' } },
    });
  });

  test('faults are words', () => {
    expect(made({ headers: 'nonsense' })).toHaveProperty('fault');
    expect(made({ kind: 'stdio', command: 'a "b' })).toEqual({
      fault: 'A quote in the command is not closed',
    });
    expect(made({ kind: 'stdio', command: ' ' })).toEqual({
      fault: 'Write the command that starts the server',
    });
    expect(made({ kind: 'json', json: '[1]' })).toEqual({ fault: 'The settings must be a JSON object' });
    expect(made({ kind: 'json', json: '{' })).toHaveProperty('fault');
  });

  test('what the inputs cannot show is shown whole', () => {
    expect([
      kindOf({ url: 'x' }),
      kindOf({ command: 'x', args: [] }),
      kindOf({ url: 'x', timeoutMs: 1 }),
    ]).toEqual([...(['http', 'stdio', 'json'] as const)]);
    const settings = { url: 'x', timeoutMs: 1 };
    expect(settingsOf(draftFor('a', settings))).toEqual({ settings });
  });

  test('a command comes back as it was', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1, maxLength: 5 }), (words) => {
        const [command = '', ...args] = words;
        const draft = draftFor('a', { command, args });
        expect(wordsIn(draft.command)).toEqual(words);
      }),
      { numRuns: 200 },
    );
  });
});
