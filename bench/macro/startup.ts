// Coming and going: from start to the first answered call, from SIGTERM to the end of an idle gateway, back again after an upstream was away; and
// how much disk an installation takes.
// Called by bench/run.ts as `startup` and, at toy size, by the tests. Promises: processes are real ones, started as users do, a new one each
// round; medians; the upstream that goes away is killed and comes back on its port.
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BenchResult, type BenchRow, checksumOf, rowOf } from '../report.ts';
import { CALL_BODY, CALL_HEADERS } from './call.ts';
import { firstAnswer } from './entrants.ts';
import { firstLine, obtain, type Peer } from './peer.ts';
import { PEERS } from './peer-list.ts';
import { isStdioEcho, STDIO_ECHO, startEcho, startGatewayWith, startNginx } from './peers.ts';
import { replicaReturn } from './replica-return.ts';
import { type Target, treeUse, which } from './target.ts';

/** How often, and beside whom. */
export interface StartupOptions {
  readonly rounds: number;
  /** Only the gateway. */
  readonly toy: boolean;
  readonly mayInstall: boolean;
}

const ROOT = join(import.meta.dir, '..', '..');
const MB = 1024 * 1024;
const SETTLE_MS = 300;
const PEER_ROUNDS = 3;
/** Times that the upstream is killed. */
const KILLS = 50;

/** Measures it. */
export async function benchStartup(options: StartupOptions): Promise<BenchResult> {
  const notes: string[] = [];
  const rows: BenchRow[] = [];
  const echo = await startEcho();
  const upstream = { url: echo.url, command: STDIO_ECHO };
  const [command = '', ...args] = STDIO_ECHO;
  const add = async (
    name: string,
    rounds: number,
    start: () => Promise<Target>,
    tool = 'echo',
  ): Promise<void> => {
    try {
      rows.push(await startAndStop(name, rounds, start, tool));
    } catch (error) {
      notes.push(`left out ${name}: ${firstLine(error)}`);
    }
  };
  try {
    await add('sluice, http', options.rounds, () => startGatewayWith({ echo: { url: echo.url } }));
    await add('sluice, stdio', options.rounds, () => startGatewayWith({ echo: { command, args } }));
    if (!options.toy) {
      const nginx = which('nginx');
      if (nginx === null) notes.push('left out nginx: not installed (Debian: apt-get install nginx-light)');
      else await add('nginx, http', options.rounds, () => startNginx(nginx, echo.url));
      for (const peer of PEERS) {
        const why = await obtain(peer, options.mayInstall);
        if (why !== null) notes.push(`left out ${peer.name}: ${why}`);
        else
          for (const kind of peer.before)
            await add(peerRow(peer, kind), PEER_ROUNDS, () => peer.start(kind, upstream), peer.tool);
      }
    }
  } finally {
    await echo.stop();
  }
  rows.push(await recovery(options.toy ? options.rounds : KILLS));
  rows.push(await replicaReturn(options.toy ? options.rounds : KILLS));
  rows.push(installRow());
  return {
    title: 'start, stop, recovery, install',
    method: `medians of ${options.rounds} processes (${PEER_ROUNDS} of each peer); listening: its ready line, or its port takes connections; answered: first call that came through from the upstream; drained: SIGTERM to the end, idle; recovered: from the upstream's return to the first call that succeeds (of two replicas, outliers off: that it is given), ${options.toy ? options.rounds : KILLS} times`,
    rows,
    checksum: checksumOf('startup'),
    ...(notes.length > 0 && { notes }),
  };
}

function peerRow(peer: Peer, kind: string): string {
  return `${peer.name}, ${kind}`;
}

async function startAndStop(
  name: string,
  rounds: number,
  start: () => Promise<Target>,
  tool: string,
): Promise<BenchRow> {
  const listening: number[] = [];
  const answered: number[] = [];
  const idle: number[] = [];
  const drained: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const target = await start();
    try {
      listening.push(performance.now() - target.startedMs);
      answered.push((await firstAnswer(target, tool)) - target.startedMs);
      await Bun.sleep(SETTLE_MS);
      idle.push(treeUse(target.pid, isStdioEcho).residentMb);
    } finally {
      drained.push(await target.stop());
    }
  }
  return rowOf(name, {
    'listening ms': listening,
    'answered ms': answered,
    'drained ms': drained,
    'RSS idle MB': idle,
  });
}

// ── an upstream that was away ─────────────────────────────────────────────────────────────────────────────────────

const RETURN_WITHIN_MS = 20_000;

async function succeeds(url: string): Promise<boolean> {
  const reply = await fetch(url, { method: 'POST', headers: CALL_HEADERS, body: CALL_BODY });
  await reply.arrayBuffer();
  return reply.status === 200;
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + RETURN_WITHIN_MS;
  while (!(await isSo())) {
    if (performance.now() > untilMs) throw new Error(`${what} did not come within ${RETURN_WITHIN_MS} ms`);
    await Bun.sleep(1);
  }
}

/** Kills the upstream, sees calls fail, starts it again on its port, and waits for a call that succeeds. */
async function recovery(rounds: number): Promise<BenchRow> {
  let echo = await startEcho();
  const port = Number(new URL(echo.url).port);
  const gateway = await startGatewayWith({ echo: { url: echo.url } });
  const recovered: number[] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      await until('a first answer', () => succeeds(gateway.url));
      process.kill(echo.pid, 'SIGKILL');
      await echo.stop();
      await until('a failure', async () => !(await succeeds(gateway.url)));
      echo = await startEcho(port);
      const fromMs = performance.now();
      await until('an answer after the return', () => succeeds(gateway.url));
      recovered.push(performance.now() - fromMs);
    }
  } finally {
    await gateway.stop();
    await echo.stop();
  }
  return rowOf('sluice, upstream back again', { 'recovered ms': recovered });
}

// ── what an installation takes ────────────────────────────────────────────────────────────────────────────────────

/** Bytes of all files below a folder, counted once however many links lead to them; packages inside packages are left out. */
function bytesIn(folder: string, seen: Set<number>): number {
  let sum = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.name === 'node_modules') continue;
    if (entry.isDirectory()) sum += bytesIn(path, seen);
    else if (entry.isFile()) sum += bytesOf(path, seen);
  }
  return sum;
}

function bytesOf(path: string, seen: Set<number>): number {
  const { ino, size } = lstatSync(path);
  if (seen.has(ino)) return 0;
  seen.add(ino);
  return size;
}

const BUN = /^node_modules\/(?:bun$|@oven\/)/;

/** The package by itself, the packages that it needs at run time (what the lock file does not mark as for development only), and Bun. */
function installRow(): BenchRow {
  // npm writes and checks this file
  const { files } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { files: string[] };
  // and this one
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; optional?: boolean }>;
  };
  const seen = new Set<number>();
  let own = 0;
  // What the installation makes counts too.
  const made = ['build/app', 'build/Release/sluice.node'].filter((file) => existsSync(join(ROOT, file)));
  for (const file of [...files.filter((one) => !one.startsWith('!')), ...made]) {
    const path = join(ROOT, file);
    own += lstatSync(path).isDirectory() ? bytesIn(path, seen) : bytesOf(path, seen);
  }
  let needed = 0;
  let bun = 0;
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (path === '' || entry.dev === true || !existsSync(join(ROOT, path))) continue;
    if (BUN.test(path)) bun += bytesIn(join(ROOT, path), seen);
    else if (entry.optional !== true) needed += bytesIn(join(ROOT, path), seen);
  }
  return {
    name: 'sluice, installed',
    figures: { 'package MB': own / MB, 'packages MB': needed / MB, 'Bun MB': bun / MB },
  };
}
