// How reports of the conformance suite are read, compared and scored, on reports made up here; and the lists of what may fail.
// Called by `bun test`. Promises: runs no suite; every entry of a list carries its reason.
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  compareReports,
  type Report,
  readExpected,
  readReport,
  readRequired,
  scoreReport,
  warningsOf,
} from '../../scripts/conformance/reports.ts';

const SUITE = join(import.meta.dir, '..', '..', 'node_modules', '@modelcontextprotocol', 'conformance');
const SETS = ['2025-11-25', '2026-07-28'];
const home = mkdtempSync(join(tmpdir(), 'sluice-reports-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

let made = 0;

/** Writes a report as the suite does: scenario → [check, status] pairs. */
function report(scenarios: Readonly<Record<string, readonly (readonly [string, string])[]>>): Report {
  const folder = join(home, String(made++));
  for (const [scenario, checks] of Object.entries(scenarios)) {
    const own = join(folder, `server-${scenario}-2026-11-23T03-35-10-046Z`);
    mkdirSync(own, { recursive: true });
    writeFileSync(join(own, 'checks.json'), JSON.stringify(checks.map(([id, status]) => ({ id, status }))));
  }
  return readReport(folder);
}

describe('comparing', () => {
  const direct = report({
    ping: [
      ['a', 'SUCCESS'],
      ['a', 'FAILURE'],
      ['note', 'INFO'],
    ],
    list: [['b', 'SUCCESS']],
  });

  test('equal statuses in any order are identical, remarks aside', () => {
    const other = report({
      list: [['b', 'SUCCESS']],
      ping: [
        ['a', 'FAILURE'],
        ['a', 'SUCCESS'],
      ],
    });
    expect(compareReports(direct, other)).toEqual([]);
    expect(direct.size).toBe(2);
  });

  test('a status less, another status and a check that is missing are differences', () => {
    const other = report({ ping: [['a', 'FAILURE']], list: [['c', 'SUCCESS']] });
    expect(compareReports(direct, other)).toEqual([
      'list :: b: direct SUCCESS, through the gateway absent',
      'ping :: a: direct FAILURE,SUCCESS, through the gateway FAILURE',
      'list :: c: direct absent, through the gateway SUCCESS',
    ]);
  });

  test('a folder without results is refused', () => {
    const folder = join(home, 'empty');
    mkdirSync(folder);
    expect(() => readReport(folder)).toThrow('no results');
  });
});

describe('scoring', () => {
  const run = report({
    good: [
      ['a', 'SUCCESS'],
      ['w', 'WARNING'],
    ],
    bad: [
      ['x', 'FAILURE'],
      ['y', 'SUCCESS'],
    ],
    worse: [
      ['x', 'FAILURE'],
      ['y', 'FAILURE'],
    ],
  });

  test('a scenario with a failed check, and one that did not run, have failed', () => {
    const score = scoreReport(run, ['good', 'bad', 'absent'], []);
    expect(score).toEqual({ passed: ['good'], failed: ['bad', 'absent'], excused: [], stale: [] });
  });

  test('an expected check excuses itself only, an expected scenario all its checks', () => {
    const score = scoreReport(run, ['bad', 'worse'], ['bad:x', 'worse:x']);
    expect(score).toEqual({ passed: [], failed: ['worse'], excused: ['bad'], stale: [] });
    expect(scoreReport(run, ['worse'], ['worse']).excused).toEqual(['worse']);
  });

  test('an expected entry under which nothing fails is stale', () => {
    expect(scoreReport(run, ['bad'], ['bad:x', 'bad:y', 'good', 'absent']).stale).toEqual([
      'bad:y',
      'good',
      'absent',
    ]);
  });

  test('warnings are told, of the wanted scenarios alone', () => {
    expect(warningsOf(run, ['good', 'bad'])).toEqual(['good:w']);
    expect(warningsOf(run, ['bad'])).toEqual([]);
  });

  test('a scenario that did not run is never excused', () => {
    expect(scoreReport(run, ['absent'], ['absent']).failed).toEqual(['absent']);
  });
});

describe('the lists of what may fail', () => {
  const known = new Set(SETS.flatMap((set) => readRequired(SUITE, set).server));
  for (const name of readdirSync(import.meta.dir).filter((file) => file.endsWith('.yml'))) {
    test(`${name}: each entry names a scored scenario and carries its reason`, () => {
      const file = join(import.meta.dir, name);
      const lines = readFileSync(file, 'utf8').split('\n');
      for (const entry of readExpected(file).server) {
        expect(known).toContain(entry.split(':')[0] ?? '');
        const line = lines.find((one) => one.includes(`- ${entry}`)) ?? '';
        expect(line).toMatch(/# .{20,}/);
      }
    });
  }

  test('the sets are those of the suite: 30 and 37 scored scenarios', () => {
    expect(SETS.map((set) => readRequired(SUITE, set).server.length)).toEqual([30, 37]);
  });
});
