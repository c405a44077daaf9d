// Levels, parts, fields and shapes of log lines.
// Runs src/observe/log.ts and log-format.ts on a clock that stands still.
import { describe, expect, test } from 'bun:test';
import { createLog, type LogSettings } from '../../../src/observe/log.ts';
import type { LogFormat } from '../../../src/observe/log-format.ts';

const WALL_MS = Date.UTC(2026, 10, 23, 12, 0, 0, 7);

function written(settings: LogSettings, use: (log: ReturnType<typeof createLog>) => void): string[] {
  const lines: string[] = [];
  use(createLog(settings, { write: (line) => lines.push(line), wall: () => WALL_MS }));
  return lines;
}

describe('levels', () => {
  test('lines below the level are not written', () => {
    const lines = written({ level: 'warn' }, (log) => {
      log.info('a');
      log.warn('b');
      log.error('c');
    });
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['b', 'c']);
  });

  test('a part may say more, or less, than the rest; what comes of it keeps that', () => {
    const lines = written({ level: 'info', rooms: { upstream: 'debug', bridge: 'error' } }, (log) => {
      log.room('upstream').with({ server: 'a' }).debug('said');
      log.room('bridge').warn('not said');
      log.room('server').debug('not said either');
      log.debug('nor that');
    });
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { time: '2026-11-23T12:00:00.007Z', level: 'debug', msg: 'said', room: 'upstream', server: 'a' },
    ]);
  });

  test('silence is silence, whatever a part has', () => {
    expect(
      written({ level: 'silent', rooms: { upstream: 'debug' } }, (log) => log.room('upstream').error('x')),
    ).toEqual([]);
  });
});

describe('shapes', () => {
  const line = (format: LogFormat): string => {
    const [text = ''] = written({ level: 'info', format }, (log) =>
      log.room('upstream').warn('exchange', {
        status: 502,
        outcome: 'failed',
        durationMs: 1.5,
        error: 'GW_UPSTREAM_RESET',
        trace: 'ab',
        sends: 2,
        left: undefined,
      }),
    );
    expect(text.endsWith('\n')).toBe(true);
    expect(text.indexOf('\n')).toBe(text.length - 1);
    return text;
  };

  test('the Elastic Common Schema’s', () => {
    expect(JSON.parse(line('ecs'))).toEqual({
      '@timestamp': '2026-11-23T12:00:00.007Z',
      'log.level': 'warn',
      message: 'exchange',
      'ecs.version': '8.11.0',
      'service.name': 'sluice',
      'log.logger': 'upstream',
      'http.response.status_code': 502,
      'event.outcome': 'failure',
      'sluice.outcome': 'failed',
      'event.duration': 1_500_000,
      'error.code': 'GW_UPSTREAM_RESET',
      'trace.id': 'ab',
      'sluice.sends': 2,
    });
  });

  test('OpenTelemetry’s', () => {
    expect(JSON.parse(line('otel'))).toMatchObject({
      timestamp: '2026-11-23T12:00:00.007Z',
      severityText: 'WARN',
      severityNumber: 13,
      body: 'exchange',
      traceId: 'ab',
      attributes: { 'http.response.status_code': 502, 'error.type': 'GW_UPSTREAM_RESET', 'sluice.sends': 2 },
      resource: { 'service.name': 'sluice' },
    });
  });

  test('for people: a time, the level, what happened, and the rest by name; nothing in it moves the cursor', () => {
    const text = line('plain');
    expect(Bun.stripANSI(line('pretty'))).toBe(text);
    expect(line('pretty')).not.toBe(text);
    expect(text).toBe(
      '12:00:00.007 warn  upstream exchange status=502 outcome=failed durationMs=1.5 error=GW_UPSTREAM_RESET trace=ab sends=2\n',
    );
    const [odd = ''] = written({ level: 'info', format: 'pretty' }, (log) =>
      log.info('x', { name: 'a\x1b[2Jb\nc' }),
    );
    expect(odd).not.toContain('\x1b[2J');
    expect(odd.trimEnd()).not.toContain('\n');
  });
});

test('what looks like a secret is not written, whoever puts it in a field', () => {
  const [line = ''] = written({ level: 'info' }, (log) =>
    log.info('x', { line: 'Authorization: Bearer abcdef123456' }),
  );
  expect(line).not.toContain('abcdef123456');
});
