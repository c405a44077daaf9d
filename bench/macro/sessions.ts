// What waiting costs: memory for each idle session with an open event stream, at 1 000 and at 10 000 of them.
// Called by bench/run.ts as `sessions` and, at toy size, by the tests. Promises: the limit of open files is raised where it has to be, and that
// is said; memory is read when it has stopped moving; who cannot hold so many is a note.
import { type BenchResult, type BenchRow, checksumOf, type Plot } from '../report.ts';
import { firstAnswer } from './entrants.ts';
import { firstLine, obtain, type Peer, type UpstreamKind } from './peer.ts';
import { PEERS } from './peer-list.ts';
import { isStdioEcho, STDIO_ECHO, startEcho, startGatewayWith, startNginx } from './peers.ts';
import { waitingClients } from './streams.ts';
import { type Target, treeUse, which } from './target.ts';

/** How many sessions, and beside whom. */
export interface SessionsOptions {
  /** Rising; memory is read at each. */
  readonly steps: readonly number[];
  /** Only the gateway. */
  readonly toy: boolean;
  readonly mayInstall: boolean;
}

/** Peers are asked for the first step only. */
interface Holder {
  readonly name: string;
  readonly steps: readonly number[];
  readonly tool: string;
  start(): Promise<Target>;
}

const KB = 1024;
const SETTLE_MS = 500;
const SETTLE_TOY_MS = 50;
const SETTLES_MAX = 12;
const SETTLED_MB = 0.3;
/** Gateways that open a few sessions a second hold no more. */
const SLOW_SESSIONS = 100;
/** What a process has open besides clients and upstreams. */
const FILES_BESIDE = 1_000;

/** Resident memory once it has stopped moving, in MB. */
async function settledMb(pid: number, settleMs: number): Promise<number> {
  let last = treeUse(pid, isStdioEcho).residentMb;
  for (let n = 0; n < SETTLES_MAX; n++) {
    await Bun.sleep(settleMs);
    const now = treeUse(pid, isStdioEcho).residentMb;
    if (Math.abs(now - last) < SETTLED_MB) return now;
    last = now;
  }
  return last;
}

/** Raises the limit of open files of this process, and so of all it starts, to what is asked; says what was done. */
export function raiseFileLimit(wanted: number): string {
  const now = fileLimit();
  if (now >= wanted) return `open files: ${now} allowed, ${wanted} wanted`;
  const prlimit = Bun.which('prlimit');
  if (prlimit === null) return `open files: ${now} allowed, ${wanted} wanted, and prlimit is not installed`;
  // both limits, which takes privileges; else the soft one as far as the hard one goes
  for (const limits of [`${wanted}:${wanted}`, `${wanted}:`, `${fileLimit('-Hn')}:`]) {
    const { exitCode } = Bun.spawnSync([prlimit, '--pid', `${process.pid}`, `--nofile=${limits}`]);
    if (exitCode === 0 && fileLimit() > now)
      return `open files: raised from ${now} to ${fileLimit()} by prlimit, ${wanted} wanted`;
  }
  return `open files: ${now} allowed, ${wanted} wanted, and prlimit may not raise it here`;
}

function fileLimit(which: '-Sn' | '-Hn' = '-Sn'): number {
  const { stdout } = Bun.spawnSync(['sh', '-c', `ulimit ${which}`], { stdin: 'ignore', stderr: 'ignore' });
  const text = stdout.toString().trim();
  return text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text);
}

/** Measures everybody in turn. */
export async function benchSessions(options: SessionsOptions): Promise<BenchResult> {
  const notes = [raiseFileLimit(2 * Math.max(...options.steps) + FILES_BESIDE)];
  const rows: BenchRow[] = [];
  const echo = await startEcho();
  try {
    for (const holder of await holdersOf(echo.url, options, notes)) {
      try {
        rows.push(await hold(holder, options.toy ? SETTLE_TOY_MS : SETTLE_MS));
      } catch (error) {
        notes.push(`${holder.name} cannot hold ${holder.steps.join(', ')}: ${firstLine(error)}`);
      }
    }
  } finally {
    await echo.stop();
  }
  return {
    title: 'idle sessions, each with an open event stream',
    method:
      'sessions of the handshake revisions (initialize, initialized, GET), nothing sent afterwards; RSS of the process tree but the MCP servers, when it has stopped moving; KB a session: growth since none, and between the last two numbers of sessions',
    rows,
    checksum: checksumOf(options.steps.join()),
    plots: [plotOf(rows)],
    notes,
  };
}

/** Memory over sessions; not everybody was asked for the same numbers of them. */
function plotOf(rows: readonly BenchRow[]): Plot {
  const steps = new Set([0]);
  for (const { figures } of rows)
    for (const name of Object.keys(figures)) {
      const step = /^RSS MB at (\d+)$/.exec(name)?.[1];
      if (step !== undefined) steps.add(Number(step));
    }
  const values = [...steps].sort((a, b) => a - b);
  return {
    title: 'RSS, MB',
    x: { label: 'idle sessions with an event stream', values },
    y: { label: 'MB' },
    series: rows.map(({ name, figures }) => ({
      name,
      values: values.map((step) => {
        const value = figures[mbAt(step)];
        return typeof value === 'number' ? value : null;
      }),
    })),
  };
}

function mbAt(step: number): string {
  return step === 0 ? 'RSS MB idle' : `RSS MB at ${step}`;
}

async function hold({ name, steps, tool, start }: Holder, settleMs: number): Promise<BenchRow> {
  const target = await start();
  const clients = waitingClients(target.url);
  try {
    await firstAnswer(target, tool);
    const idleMb = await settledMb(target.pid, settleMs);
    const figures: Record<string, number> = { [mbAt(0)]: idleMb };
    let lastMb = idleMb;
    for (const step of steps) {
      const added = step - clients.count;
      await clients.open(added);
      const nowMb = await settledMb(target.pid, settleMs);
      figures[mbAt(step)] = nowMb;
      figures[`KB a session to ${step}`] = ((nowMb - lastMb) * KB) / added;
      lastMb = nowMb;
    }
    return { name, figures };
  } finally {
    await clients.close();
    await target.stop();
  }
}

async function holdersOf(
  url: string,
  { steps, toy, mayInstall }: SessionsOptions,
  notes: string[],
): Promise<Holder[]> {
  const stream = url.replace(/\/mcp$/, '/stream');
  const servers = { echo: { url }, stream: { url: stream } };
  // A stream takes two descriptors of the gateway: the client's, and that of the one server which has streams.
  const most = Math.floor((fileLimit() - FILES_BESIDE) / 2);
  const twoSided = steps.map((step) => Math.min(step, most));
  if (Math.max(...steps) > most)
    notes.push(`sessions with a stream behind them are held to ${most} by open files`);
  const own = (name: string, path: string, asked: readonly number[]): Holder => ({
    name,
    steps: asked,
    tool: 'echo',
    start: async () => {
      const target = await startGatewayWith(servers);
      return { ...target, url: `${new URL(target.url).origin}${path}` };
    },
  });
  const holders = [
    { ...own('sluice, its own session', '/mcp', twoSided), tool: 'echo__echo' },
    own('sluice, passed through', '/mcp/stream', twoSided),
  ];
  if (toy) return holders;
  const nginx = which('nginx');
  if (nginx === null) notes.push('left out nginx: not installed (Debian: apt-get install nginx-light)');
  else {
    const connectionsMax = Math.min(2 * Math.max(...twoSided) + FILES_BESIDE, fileLimit());
    holders.push({
      name: 'nginx, passed through',
      steps: twoSided,
      tool: 'echo',
      start: () => startNginx(nginx, stream, connectionsMax),
    });
  }
  for (const peer of PEERS) {
    const why = peer.processPerSession ? 'a process for each session' : await obtain(peer, mayInstall);
    const asked = peer.share === 'basic' ? [Math.min(SLOW_SESSIONS, ...steps)] : steps.slice(0, 1);
    if (why === null) holders.push(peerHolder(peer, url, asked));
    else notes.push(`left out ${peer.name}: ${why}`);
  }
  return holders;
}

function peerHolder(peer: Peer, url: string, steps: readonly number[]): Holder {
  const kind: UpstreamKind = peer.before.includes('http') ? 'http' : 'stdio';
  return {
    name: `${peer.name}, ${kind}`,
    steps,
    tool: peer.tool,
    start: () => peer.start(kind, { url, command: STDIO_ECHO }),
  };
}
