// What servers, top and tail print: tables, figures, one exchange, plans; and live events however their bytes are cut.
// Runs the pure parts of src/cli/operate/. Promises: nothing that a server wrote gets control characters onto the terminal.
import { describe, expect, test } from 'bun:test';
import type { z } from '@hono/zod-openapi';
import { type LiveEvent, readEvents } from '../../../src/cli/operate/live-events.ts';
import { planText, serverTable } from '../../../src/cli/operate/server-text.ts';
import {
  bytesText,
  cell,
  clip,
  msText,
  rateText,
  spanText,
  table,
  widthOf,
} from '../../../src/cli/operate/table.ts';
import { type Look, topLines } from '../../../src/cli/operate/top-view.ts';
import { exchangeLine } from '../../../src/cli/operate/traffic-line.ts';
import { createPaint } from '../../../src/cli/paint.ts';
import type { Exchange, Overview, Server } from '../../../src/control/admin/schemas.ts';

type ServerView = z.output<typeof Server>;
const plain = createPaint(false);
const colour = createPaint(true);
const EVIL = 'a\u001b[2J\nb\u0007';

function replica(state: 'closed' | 'open' | 'half-open', isForced = false): ServerView['replicas'][number] {
  return {
    index: 0,
    address: 'http://x/mcp',
    weight: 1,
    breaker: { state, isForced, failures: 0, successes: 0, sinceMs: null },
    pool: { total: 3, busy: 1, idle: 2, waiting: 1, connects: 0, reuses: 0, failures: 0 },
    isEjected: false,
  };
}

function server(name: string, more: Partial<ServerView> = {}): ServerView {
  return {
    name,
    origin: 'registry',
    version: 1,
    isEnabled: true,
    isShadowed: false,
    problem: null,
    changedAt: null,
    settings: {},
    transport: 'http',
    era: 'modern',
    state: 'serving',
    endpoint: `/mcp/${name}`,
    replicas: [replica('closed')],
    children: [],
    sessions: 0,
    cache: null,
    faults: [],
    counts: { exchanges: 10, ok: 9, refused: 0, failed: 1, abandoned: 0 },
    ...more,
  };
}

describe('figures', () => {
  test('have their units', () => {
    expect([0, 1023, 1536, 200 * 1024, 5 * 1024 ** 3].map(bytesText)).toEqual([
      '0 B',
      '1023 B',
      '1.5 KiB',
      '200 KiB',
      '5.0 GiB',
    ]);
    expect([null, 0.5, 12.34, 250, 12_000].map(msText)).toEqual([
      '-',
      '0.50 ms',
      '12.3 ms',
      '250 ms',
      '12.0 s',
    ]);
    expect([0, 59_000, 3_600_000, 90_061_000].map(spanText)).toEqual(['0 s', '59 s', '1 h 0 min', '1 d 1 h']);
    expect([0, 9.96, 1234.5].map(rateText)).toEqual(['0.0', '10.0', '1235']);
  });

  test('columns are even with colours in them, to the right where they are numbers', () => {
    expect(
      table(
        ['A', ' N'],
        [
          ['x', '1'],
          [colour.bad('long'), colour.good('100')],
        ],
      ).map((line) => line),
    ).toEqual(['A       N', 'x       1', `${colour.bad('long')}  ${colour.good('100')}`]);
  });

  test('a line is cut by what is seen of it', () => {
    const line = `${colour.bad('abc')}d${colour.good('efg')}`;
    for (let width = 0; width < 9; width++) expect(widthOf(clip(line, width))).toBe(Math.min(7, width));
    expect(clip(line, 2)).toStartWith('\u001b[31mab\u001b[39m');
  });

  test('a cell is one line without control characters', () => {
    expect(cell(EVIL)).toBe('a [2J b ');
    expect(cell('x'.repeat(9), 5)).toBe('xxxx…');
  });
});

describe('servers', () => {
  test('a table, with what keeps some from being served below it', () => {
    const text = serverTable(
      [
        server('docs'),
        server(EVIL, { problem: 'TOKEN is not set', replicas: [] }),
        server('many', { replicas: [replica('open', true), replica('closed')], state: 'failing' }),
        server('old', { isShadowed: true, state: 'disabled' }),
      ],
      plain,
    );
    expect(text).toContain('docs      serving   modern  http  registry              10       1  closed');
    expect(text).toContain('refused');
    expect(text).toContain('a [2J b  is not served: TOKEN is not set');
    expect(text).toContain('1/2 open (tripped)');
    expect(text).toContain('http://x/mcp and 1 more');
    expect(text).toContain('old of the registry is hidden');
    expect(text).not.toContain('\u001b');
    expect(serverTable([], plain)).toContain('sluice servers add');
  });

  test('plans', () => {
    const none = { starts: [], stops: [], changes: [], applies: [], waits: [], notes: [] };
    expect(planText(none, plain, 'So:')).toBe('So:\n  what is served stays as it is\n');
    const all = {
      ...none,
      starts: ['a', 'b'],
      changes: [{ server: 'c', keys: ['url', 'era'] }],
      notes: ['n'],
    };
    expect(planText(all, plain)).toBe('  starts: a, b\n  changes: c (url, era)\n  note: n\n');
  });
});

describe('top', () => {
  const overview: z.output<typeof Overview> = {
    at: '2026-01-01T00:00:00.000Z',
    exchangesPerSecond: 12.5,
    errorsPerSecond: 1,
    p50Ms: 1.5,
    p99Ms: null,
    activeExchanges: 3,
    cpuPercent: 99.6,
    rssBytes: 1024 * 1024,
    sessions: 4,
    workers: [
      { index: 0, generation: 1, state: 'serving', restarts: 0, activeExchanges: 1 },
      { index: 1, generation: 1, state: 'down', restarts: 1, activeExchanges: 0 },
    ],
  };
  const look: Look = {
    url: 'http://127.0.0.1:8701',
    status: null,
    overview,
    servers: [
      { server: server('idle'), perSecond: 0 },
      { server: server('busy'), perSecond: 9 },
      { server: server('sick', { state: 'failing', replicas: [replica('open')] }), perSecond: 0 },
    ],
    total: 3,
    trouble: '',
  };
  const wide = { columns: 200, rows: 50 };

  test('figures, then servers: trouble first, then the busiest', () => {
    const lines = topLines(look, plain, wide);
    expect(lines[1]).toBe(
      'calls/s 12.5   errors/s 1.0   p50 1.50 ms   p99 -   active 3   cpu 100 %   memory 1.0 MiB   sessions 4   workers 1/2',
    );
    expect(lines.slice(4).map((line) => line.split(' ')[0])).toEqual(['sick', 'busy', 'idle']);
    expect(lines[5]).toMatch(/busy +serving +modern +http +1\/3 \+1 +closed +9\.0 +10 +1 +0$/);
  });

  test('never more lines than rows, and what is left out is counted', () => {
    for (let rows = 1; rows < 12; rows++)
      expect(topLines(look, plain, { columns: 60, rows }).length).toBeLessThanOrEqual(rows);
    expect(topLines(look, plain, { ...wide, rows: 6 })).toHaveLength(6);
    expect(topLines(look, plain, { ...wide, rows: 6 }).at(-1)).toContain('and 2 more');
    expect(topLines(look, plain, { ...wide, rows: 7 }).at(-1)).toStartWith('idle');
    expect(topLines({ ...look, total: 900 }, plain, wide).at(-1)).toContain('and 897 more');
  });

  test('heads wrap on a narrow terminal', () => {
    const lines = topLines(look, colour, { columns: 40, rows: 50 });
    const heads = lines.slice(0, lines.indexOf(''));
    expect(heads.length).toBeGreaterThan(3);
    for (const line of heads) expect(widthOf(line)).toBeLessThanOrEqual(40);
  });

  test('before there is anything, and when it is gone', () => {
    const lines = topLines({ ...look, overview: null, servers: [], total: 0, trouble: EVIL }, plain, wide);
    expect(lines).toEqual([
      'sluice at http://127.0.0.1:8701',
      'waiting for figures …',
      'a [2J b ',
      '',
      'no servers',
    ]);
  });
});

describe('tail', () => {
  const exchange: z.output<typeof Exchange> = {
    key: '0-1',
    at: '2026-01-01T10:20:30.456Z',
    worker: 0,
    endpoint: '/mcp',
    server: 'docs',
    method: 'tools/call',
    name: 'search',
    id: '1',
    status: 200,
    outcome: 'ok',
    errorCode: null,
    durationMs: 12.5,
    phases: { gatewayMs: 0.05, queueMs: 0, connectMs: 2, upstreamMs: 10.45 },
    replica: 0,
    sends: 1,
    isCached: false,
    trace: null,
    requestBytes: 100,
    replyBytes: 2048,
    request: '{}',
  };

  test('one line: when, how, what, where, how long, how much', () => {
    expect(exchangeLine(exchange, plain)).toBe(
      '10:20:30.456Z  ok        200  tools/call search             /mcp > docs  12.5 ms  (connect 2.00 ms, upstream 10.4 ms)  100 B > 2.0 KiB',
    );
  });

  test('what failed, was repeated or kept says so', () => {
    const line = exchangeLine(
      {
        ...exchange,
        outcome: 'failed',
        errorCode: 'GW_UPSTREAM_OPEN',
        sends: 3,
        isCached: true,
        phases: null,
        server: null,
        status: 0,
        name: '',
      },
      plain,
    );
    for (const words of ['failed    ---', 'kept answer', 'sent 3 times', 'GW_UPSTREAM_OPEN', 'tools/call  '])
      expect(line).toContain(words);
    expect(line).not.toContain(' > docs');
  });

  test('what a client wrote cannot steer the terminal', () => {
    const line = exchangeLine({ ...exchange, method: EVIL, name: EVIL, endpoint: EVIL }, plain);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
    expect(line).not.toMatch(/[\u0000-\u001f\u007f]/);
  });
});

test('live events are the same at every cut', async () => {
  const bytes = new TextEncoder().encode(
    ': hello\n\nevent: overview\ndata: {"a":"é"}\n\nevent: x\n\ndata: [1,\ndata: 2]\n\nevent: y\ndata: {nope\n\ndata: "cut',
  );
  const whole: LiveEvent[] = [
    { event: 'overview', data: { a: 'é' } },
    { event: 'message', data: [1, 2] },
  ];
  for (let cut = 0; cut <= bytes.length; cut++) {
    async function* body(): AsyncGenerator<Uint8Array> {
      yield bytes.slice(0, cut);
      yield bytes.slice(cut);
      throw new Error('the connection broke');
    }
    const seen: LiveEvent[] = [];
    for await (const event of readEvents(body())) seen.push(event);
    expect(seen).toEqual(whole);
  }
});
