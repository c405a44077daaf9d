// What a gateway needs of the machine: descriptors, room for connections that wait, a kernel, memory.
// Called by doctor.ts. Promises: reads what Linux tells under /proc and /sys, and says so elsewhere; a figure that cannot be read is a warning, never a guess.
import { LIMITS } from '../../base/limits.ts';
import type { Files } from '../../runtime/runtime.ts';
import type { Ready } from '../configure.ts';
import { bytesText } from '../operate/table.ts';
import type { World } from '../world.ts';
import { broken, type Finding, fine, warning } from './finding.ts';

const MIB = 1024 * 1024;
/** Listeners, logs, registry, rings, event loops: what a gateway has open besides connections, and each of its workers. */
const OWN_FILES = 64;
const WORKER_FILES = 16;
/** Pipes of one process, and its place in /proc while it is measured. */
const PROCESS_FILES = 4;
/** Below this not even a handful of clients find room. */
const ROOM_MIN = 256;
/** Connections that both listeners let wait (uSockets asks the kernel for so many). */
const BACKLOG = 512;
/** A gateway at rest, and a worker under load. */
const REST_BYTES = 64 * MIB;
const WORKER_BYTES = 64 * MIB;
/** What Bun asks for at least, and what it recommends (bun.sh/docs/installation). */
const KERNEL_MIN = [5, 1] as const;
const KERNEL_WISHED = [5, 6] as const;

/** What of a configuration matters to the machine. */
export interface Wants {
  /** Null: there is no configuration that could be served. */
  readonly ready: Ready | null;
  readonly workers: number;
}

/** Looks at all of it. */
export async function machineFindings({ runtime }: World, wants: Wants): Promise<Finding[]> {
  const read = (path: string): Promise<string> => readOr(runtime.files, path);
  return [
    kernelFinding(process.platform, await read('/proc/sys/kernel/osrelease'), runtime.name),
    openFilesFinding(await read('/proc/self/limits'), needOf(wants)),
    backlogFinding(await read('/proc/sys/net/core/somaxconn')),
    memoryFinding(await availableBytes(read), wants.workers),
  ];
}

function readOr(files: Files, path: string): Promise<string> {
  return files.readText(path).catch(() => '');
}

/** The kernel. `release` as uname has it. */
export function kernelFinding(platform: string, release: string, runtime: string): Finding {
  const check = 'kernel';
  if (platform !== 'linux')
    return warning(
      check,
      `${platform}`,
      'Sluice is tested on Linux; memory bounds of processes (memoryMaxBytes) work there alone',
    );
  const [, major = '', minor = ''] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  if (major === '') return warning(check, 'its version cannot be read', 'mount /proc');
  const text = `Linux ${release.trim()}`;
  const isBelow = ([a, b]: readonly [number, number]): boolean =>
    Number(major) < a || (Number(major) === a && Number(minor) < b);
  if (runtime !== 'bun' || !isBelow(KERNEL_WISHED)) return fine(check, text);
  const wished = `Bun recommends Linux ${KERNEL_WISHED.join('.')} or newer`;
  if (isBelow(KERNEL_MIN))
    return broken(
      check,
      text,
      `${wished} and needs ${KERNEL_MIN.join('.')}: use a newer kernel, or SLUICE_RUNTIME=node`,
    );
  return warning(check, text, wished);
}

/** Descriptors that a gateway may come to need. */
export interface FileNeed {
  /** Its own, and connections and processes of its servers. */
  readonly own: number;
  /** Clients' sessions that the configuration allows. */
  readonly sessions: number;
}

/** What a configuration may come to need. */
export function needOf({ ready, workers }: Wants): FileNeed {
  const own = OWN_FILES + workers * WORKER_FILES;
  if (ready === null) return { own, sessions: LIMITS.sessionsMax * workers };
  const upstream = ready.snapshot.servers.reduce((sum, { target, replicas = [] }) => {
    if (target.kind === 'stdio') return sum + PROCESS_FILES * workers * (1 + target.keep.warm);
    return [target, ...replicas].reduce((total, { connectionsMax }) => total + connectionsMax, sum);
  }, 0);
  return { own: own + upstream, sessions: ready.config.limits.sessionsMax * workers };
}

/** The bound on open files, as /proc/self/limits tells it: Bun and Node have raised it as far as they may by then. */
export function openFilesFinding(limits: string, need: FileNeed): Finding {
  const check = 'open files';
  const [, soft = '', hard = ''] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(limits) ?? [];
  if (soft === '')
    return warning(check, 'their bound cannot be read', 'see `ulimit -n`: it should be 65536 or more');
  if (soft === 'unlimited') return fine(check, 'any number');
  const room = Number(soft) - need.own;
  const wanted = need.own + need.sessions;
  const found = `${soft} allowed: servers and the gateway itself may take ${need.own}, which leaves ${Math.max(0, room)} for clients (limits.sessionsMax of all workers: ${need.sessions})`;
  const raise = `ulimit -n ${wanted} before it is started; with systemd LimitNOFILE=${wanted}; in a container --ulimit nofile=${wanted}${Number(hard) < wanted ? `\nthe hard bound is ${hard}: it is raised by root, in /etc/security/limits.conf` : ''}`;
  if (room < ROOM_MIN) return broken(check, found, raise);
  if (room < need.sessions) return warning(check, found, `${raise}\nor let limits.sessionsMax be less`);
  return fine(check, found);
}

/** How many connections may wait to be accepted. */
export function backlogFinding(text: string): Finding {
  const check = 'somaxconn';
  const value = Number(text.trim());
  if (text.trim() === '' || !Number.isInteger(value))
    return warning(check, 'it cannot be read', 'see `sysctl net.core.somaxconn`: it should be 4096');
  if (value >= BACKLOG) return fine(check, `${value} connections may wait, and listeners ask for ${BACKLOG}`);
  return warning(
    check,
    `${value}: of more clients that connect at once some wait a second and longer`,
    'sysctl -w net.core.somaxconn=4096, and a line net.core.somaxconn=4096 in /etc/sysctl.d/sluice.conf',
  );
}

/** Memory that can be had; null: it cannot be told. */
async function availableBytes(read: (path: string) => Promise<string>): Promise<number | null> {
  const [, kib] = /^MemAvailable:\s+(\d+) kB/m.exec(await read('/proc/meminfo')) ?? [];
  const group = /^0::(\/\S*)/m.exec(await read('/proc/self/cgroup'))?.[1] ?? '/';
  const folder = `/sys/fs/cgroup${group === '/' ? '' : group}`;
  const bound = Number((await read(`${folder}/memory.max`)) || 'none');
  const used = Number((await read(`${folder}/memory.current`)) || 'none');
  const free =
    Number.isFinite(bound) && Number.isFinite(used) ? Math.max(0, bound - used) : Number.POSITIVE_INFINITY;
  const bytes = Math.min(kib === undefined ? Number.POSITIVE_INFINITY : Number(kib) * 1024, free);
  return Number.isFinite(bytes) ? bytes : null;
}

/** Whether a gateway with so many workers finds room; stdio servers need theirs besides. */
export function memoryFinding(bytes: number | null, workers: number): Finding {
  const check = 'memory';
  const wanted = REST_BYTES + workers * WORKER_BYTES;
  if (bytes === null)
    return warning(check, 'what is available cannot be read', `have ${bytesText(wanted)} free`);
  const found = `${bytesText(bytes)} available; ${workers} worker${workers === 1 ? '' : 's'} under load take about ${bytesText(wanted)}`;
  if (bytes < REST_BYTES)
    return broken(check, found, 'end what is not needed, or give the container more memory');
  if (bytes < wanted)
    return warning(check, found, 'set workers lower, or give the machine or container more memory');
  return fine(check, found);
}
