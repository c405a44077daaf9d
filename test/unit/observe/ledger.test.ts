// What is remembered of a server's failures.
// Runs src/observe/ledger.ts.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { Ledger } from '../../../src/observe/ledger.ts';

describe('a ledger', () => {
  test('has the last few failures, newest first, the same one once', () => {
    let wallMs = 0;
    const ledger = new Ledger(() => wallMs++);
    ledger.fault('GW_UPSTREAM_CONNECT', 'refused');
    ledger.fault('HTTP_503', 'it answered 503');
    ledger.fault('GW_UPSTREAM_CONNECT', 'refused');
    expect(ledger.faults).toEqual([
      { atMs: 2, code: 'GW_UPSTREAM_CONNECT', detail: 'refused', times: 2 },
      { atMs: 1, code: 'HTTP_503', detail: 'it answered 503', times: 1 },
    ]);
    for (let n = 0; n < 100; n++) ledger.fault('GW_UPSTREAM_CLOSED', `cut after ${n} bytes`);
    expect(ledger.faults).toHaveLength(LIMITS.faultsKeptMax);
    expect(ledger.faults[0]?.detail).toBe('cut after 99 bytes');
  });

  test('keeps no more of each than fits', () => {
    const ledger = new Ledger(() => 0);
    ledger.fault('GW_UPSTREAM_EXITED', 'x'.repeat(10_000));
    ledger.fault('GW_UPSTREAM_EXITED', `${'x'.repeat(10_000)}y`);
    expect(ledger.faults.map(({ detail, times }) => [detail.length, times])).toEqual([
      [LIMITS.faultCharsMax + 1, 2],
    ]);
  });
});
