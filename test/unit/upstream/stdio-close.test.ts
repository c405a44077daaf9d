// What a stdio server's cells say once it is closed.
// Runs upstream/stdio.ts over a simulated process.
import { expect, test } from 'bun:test';
import { soloCell } from '../../../src/memory/cells.ts';
import { SILENT } from '../../../src/observe/log.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { chooseScanner } from '../../../src/scan/scan.ts';
import { createStdioUpstream } from '../../../src/upstream/stdio.ts';
import { modern, sendOn, stdioSpec } from '../../fixtures/stdio-world.ts';

test('regression: calls that waited for a start are not counted for ever by the cells of a server that is closed', async () => {
  const sim = createSimRuntime({ seed: 1 });
  sim.program('mortal', (io) => ({ onStdin: () => io.exit(1), onStdinEnd: () => io.exit(0) }));
  const cell = soloCell();
  const upstream = createStdioUpstream({
    runtime: sim,
    scanner: chooseScanner('portable').scanner,
    spec: stdioSpec('mortal', [], {}),
    log: SILENT,
    cell,
    ...{ sessionsMax: 10, sessionIdleMs: 60_000 },
  });
  // The first deaths make those that follow wait.
  for (let i = 0; i < 4; i++) {
    sendOn(upstream, modern(i, 'tools/list'));
    await sim.advance(100);
  }
  const last = sendOn(upstream, modern(9, 'tools/list'));
  await sim.advance(1);
  expect(cell.numbers().waiting).toBe(1);
  const closed = upstream.close(20);
  await sim.advance(5_000);
  await closed;
  expect(last.caught.failed?.code).toBe('GW_UPSTREAM_CLOSING');
  expect(cell.numbers()).toMatchObject({ waiting: 0, total: 0, busy: 0, idle: 0, sessions: 0 });
});
