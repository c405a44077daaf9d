// The reaper's script, run by every sh found here.
// Called by bun test. Promises: ends every process it starts, by id.
import { expect, test } from 'bun:test';
import { startBunReaper } from '../../../src/runtime/bun-reaper.ts';
import { createReaper, REAPER_SCRIPT } from '../../../src/runtime/reaper.ts';

const SHELLS = [['/bin/sh'], ['dash'], ['bash', '--posix'], ['busybox', 'sh'], ['ksh']].filter(
  ([name]) => Bun.which(name ?? '') !== null,
);

type Leader = Bun.Subprocess<'ignore', 'pipe', 'ignore'>;

/** A group whose leader says when it is ready, and which ignores TERM if told to. */
async function startGroup(deaf: boolean): Promise<Leader> {
  const script = `${deaf ? "trap '' TERM; " : ''}echo ready; while :; do sleep 0.05; done`;
  const leader = Bun.spawn(['sh', '-c', script], {
    stdout: 'pipe',
    stderr: 'ignore',
    stdin: 'ignore',
    detached: true,
  });
  for await (const _ of leader.stdout) break;
  return leader;
}

/** Waits until the process ignores SIGHUP, as Linux tells in its SigIgn mask. */
async function ignoresSignals(pid: number): Promise<void> {
  for (let i = 0; i < 500; i++) {
    const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(await Bun.file(`/proc/${pid}/status`).text())?.[1] ?? '0';
    if ((BigInt(`0x${mask}`) & 1n) === 1n) return;
    await Bun.sleep(10);
  }
}

test.each(SHELLS.map((shell) => [shell.join(' '), shell] as const))(
  '%s: at the end of its input, the groups still listed are ended, and no others',
  async (_name, shell) => {
    const [polite, deaf, spared] = await Promise.all([
      startGroup(false),
      startGroup(true),
      startGroup(false),
    ]);
    const reaper = Bun.spawn([...shell, '-c', REAPER_SCRIPT], {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'pipe',
    });
    reaper.stdin.write(`+${spared.pid}\n+${polite.pid}\n+1999999\n+${deaf.pid}\n`);
    reaper.stdin.write(`-${spared.pid}\n-12345\n`);
    // It ends only with its input, whatever signal comes once it has started.
    await ignoresSignals(reaper.pid);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) reaper.kill(signal);
    await Bun.sleep(50);
    expect([reaper.exitCode, polite.exitCode, polite.signalCode]).toEqual([null, null, null]);
    await reaper.stdin.end();
    expect(await reaper.exited).toBe(0);
    expect(await new Response(reaper.stdout).text()).toBe('');
    await Promise.all([polite.exited, deaf.exited]);
    expect([polite.signalCode, deaf.signalCode]).toEqual(['SIGTERM', 'SIGKILL']);
    expect([spared.exitCode, spared.signalCode]).toEqual([null, null]);
    process.kill(-spared.pid, 'SIGKILL');
    await spared.exited;
  },
  20_000,
);

test('with nothing listed it ends at once', async () => {
  const reaper = Bun.spawn(['/bin/sh', '-c', REAPER_SCRIPT], { stdin: 'pipe' });
  reaper.stdin.write('+77777\n-77777\n+88888\n+99999\n-88888\n-99999\n');
  await reaper.stdin.end();
  expect(await reaper.exited).toBe(0);
});

test('a reaper that someone ends is replaced while there are groups, and its comings and goings are noted', async () => {
  const group = await startGroup(false);
  const notes: string[] = [];
  const reapers: number[] = [];
  const reaper = createReaper((pid, alive) => {
    if (pid !== group.pid && alive) reapers.push(pid);
    notes.push(`${pid === group.pid ? 'group' : 'reaper'} ${alive}`);
  }, startBunReaper);
  reaper.add(group.pid);
  process.kill(reapers[0] ?? 0, 'SIGKILL');
  for (let look = 0; look < 200 && reapers.length < 2; look++) await Bun.sleep(10);
  reaper.remove(group.pid);
  expect(notes).toEqual(['reaper true', 'group true', 'reaper false', 'reaper true', 'group false']);
  expect(new Set(reapers).size).toBe(2);
  process.kill(-group.pid, 'SIGKILL');
  await group.exited;
});
