// Who stands before an upstream in a run: the direct way, the blind proxies, the gateway, and every peer that can be had.
// Called by suite.ts and sessions.ts. Promises: whoever cannot take part is named in `notes` with the reason; whoever does has answered
// a call that came through from the upstream.
import { ask, dismiss, findTool, firstFault, greet, Refusal } from '../../src/cli/bench/handshake.ts';
import { firstLine, obtain, type Peer, type Share, type UpstreamKind } from './peer.ts';
import { PEERS } from './peer-list.ts';
import {
  hasWorkersOption,
  isStdioEcho,
  STDIO_ECHO,
  startEcho,
  startGatewayWith,
  startHaproxy,
  startNginx,
} from './peers.ts';
import { type Target, treeUse, which } from './target.ts';

/** One way to the upstream. */
export interface Entrant {
  readonly target: Target;
  readonly upstream: UpstreamKind;
  /** Name of the tool `echo` behind it. */
  readonly tool: string;
  readonly share: Share;
  /** Most connections that it can be asked to serve, for a reason that `notes` names. */
  readonly connectionsMax: number;
  /** False for the direct way, whose process is the upstream itself. */
  readonly isProxy: boolean;
  /** Where calls are answered with event streams, or null. */
  readonly streamUrl: string | null;
  readyMs: number;
  idleMb: number;
  loadedMb: number;
  /** How long its end took. */
  drainedMs: number;
}

/** With whom. */
export interface Circle {
  /** Install and compile peers that are not there. */
  readonly mayInstall: boolean;
  /** Only the gateway and the direct way. */
  readonly toy: boolean;
}

/** An entrant with a process for each session gets no more of them. */
const PROCESSES_MAX = 16;
const READY_WITHIN_MS = 20_000;
const CALL_WITHIN_MS = 5_000;
const POLL_MS = 5;
const SETTLE_MS = 300;

/** Starts everybody for one kind of upstream. The caller ends them, last first. */
export async function enterAll(kind: UpstreamKind, circle: Circle, notes: string[]): Promise<Entrant[]> {
  const entrants: Entrant[] = [];
  const add = async (
    name: string,
    start: () => Promise<Target>,
    parts: Partial<Entrant> = {},
  ): Promise<void> => {
    await enter(entrants, start, { upstream: kind, ...parts }).catch((error: unknown) =>
      notes.push(`left out ${name}: ${firstLine(error)}`),
    );
  };
  try {
    if (kind === 'http') await enter(entrants, () => startEcho(), { isProxy: false });
    const url = kind === 'http' ? (entrants[0]?.target.url ?? '') : '';
    if (kind === 'http' && !circle.toy) await addBlind(url, add, notes);
    await addOwn(entrants, { kind, url }, circle, notes);
    if (!circle.toy) await addPeers({ kind, url }, circle, add, notes);
    return entrants;
  } catch (error) {
    await leaveAll(entrants);
    throw error;
  }
}

/** Ends them, last first. */
export async function leaveAll(entrants: readonly Entrant[]): Promise<void> {
  for (const entrant of [...entrants].reverse()) entrant.drainedMs = await entrant.target.stop();
}

type Add = (name: string, start: () => Promise<Target>, parts?: Partial<Entrant>) => Promise<void>;

async function addBlind(url: string, add: Add, notes: string[]): Promise<void> {
  const nginx = which('nginx');
  const haproxy = which('haproxy');
  if (nginx === null) notes.push('left out nginx: not installed (Debian: apt-get install nginx-light)');
  else await add('nginx', () => startNginx(nginx, url));
  if (haproxy === null) notes.push('left out haproxy: not installed (Debian: apt-get install haproxy)');
  else await add('haproxy', () => startHaproxy(haproxy, url));
}

/** Where the upstream is: `url` only for an HTTP one. */
interface Behind {
  readonly kind: UpstreamKind;
  readonly url: string;
}

/** The gateway itself, with one data worker and with two. */
async function addOwn(
  entrants: Entrant[],
  { kind: upstream, url }: Behind,
  { toy }: Circle,
  notes: string[],
): Promise<void> {
  const [command = '', ...args] = STDIO_ECHO;
  const servers =
    upstream === 'http'
      ? { echo: { url }, stream: { url: streamUrlOf(url, false) } }
      : { echo: { command, args } };
  await enter(entrants, () => startGatewayWith(servers), { upstream });
  if (toy) return;
  if (hasWorkersOption()) await enter(entrants, () => startGatewayWith(servers, 2), { upstream });
  else notes.push('left out sluice, 2 workers: this build has one data worker and no option for more');
}

async function addPeers(
  { kind, url }: Behind,
  { mayInstall }: Circle,
  add: Add,
  notes: string[],
): Promise<void> {
  for (const peer of PEERS) {
    if (!peer.before.includes(kind)) continue;
    const label = `${peer.name} ${peer.version}`;
    const why = await obtain(peer, mayInstall);
    if (why !== null) {
      notes.push(`left out ${label}: ${why}`);
      continue;
    }
    notes.push(...remarksOn(peer, label));
    await add(label, () => peer.start(kind, { url, command: STDIO_ECHO }), {
      tool: peer.tool,
      share: peer.share,
      streamUrl: null,
      connectionsMax: peer.processPerSession ? PROCESSES_MAX : Number.POSITIVE_INFINITY,
    });
  }
}

function remarksOn(peer: Peer, label: string): string[] {
  return [
    ...(peer.processPerSession
      ? [`${label} has a process for each session: at most ${PROCESSES_MAX} connections`]
      : []),
    ...(peer.share === 'basic' ? [`${label} is asked for the basic scenarios only`] : []),
  ];
}

async function enter(
  entrants: Entrant[],
  start: () => Promise<Target>,
  parts: Partial<Entrant>,
): Promise<void> {
  const target = await start();
  const isOwn = target.name.startsWith('sluice');
  const entrant: Entrant = {
    target,
    upstream: 'http',
    tool: 'echo',
    share: 'all',
    connectionsMax: Number.POSITIVE_INFINITY,
    isProxy: true,
    streamUrl: streamUrlOf(target.url, isOwn),
    readyMs: Number.NaN,
    idleMb: Number.NaN,
    loadedMb: Number.NaN,
    drainedMs: Number.NaN,
    ...parts,
  };
  entrants.push(entrant);
  try {
    entrant.readyMs = (await firstAnswer(target, entrant.tool)) - target.startedMs;
  } catch (error) {
    entrants.pop();
    await target.stop();
    throw error;
  }
  await Bun.sleep(SETTLE_MS);
  entrant.idleMb = treeUse(target.pid, isStdioEcho).residentMb;
}

/** The place of the event streams: another path of the echo, another server of the gateway. */
function streamUrlOf(url: string, gateway: boolean): string {
  return gateway ? url.replace(/echo$/, 'stream') : url.replace(/\/mcp$/, '/stream');
}

/** When the first call was answered by the upstream, by performance.now(). Sessions that it took are ended. */
export async function firstAnswer(target: Pick<Target, 'name' | 'url'>, tool: string): Promise<number> {
  const untilMs = performance.now() + READY_WITHIN_MS;
  let said = 'nothing';
  while (performance.now() < untilMs) {
    const outcome = await callOnce(target.url, tool).catch((error: unknown) => firstLine(error));
    if (typeof outcome === 'number') return outcome;
    said = outcome;
    await Bun.sleep(POLL_MS);
  }
  throw new Error(`${target.name} did not answer a call: ${said}`);
}

/** One call with the handshake that it needs: when it was answered, or what was wrong. */
async function callOnce(url: string, tool: string): Promise<number | string> {
  const endpoint = { url: new URL(url), timeoutMs: CALL_WITHIN_MS };
  const greeting = await greet(endpoint, 'legacy', { client: '1', headers: [] });
  if (greeting instanceof Refusal) return greeting.why;
  try {
    const call = await findTool(endpoint, greeting, { tool, args: { text: 'ready' } });
    if (call instanceof Refusal) return call.why;
    const fault = firstFault(await ask(endpoint, greeting.speech, call, greeting.session));
    return fault ?? performance.now();
  } finally {
    await dismiss(endpoint, greeting);
  }
}
