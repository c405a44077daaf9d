// Whether the listeners can have their ports, and whether workers can share one.
// Called by doctor.ts. Promises: a port is held for a moment only, and no connection is accepted meanwhile; a gateway that runs there already is told from a stranger.
import type { Listener, Runtime } from '../../runtime/runtime.ts';
import { fieldOf } from '../client.ts';
import type { World } from '../world.ts';
import { broken, type Finding, fine, warning } from './finding.ts';
import type { Wants } from './machine.ts';

const DATA = { host: '127.0.0.1', port: 8700 };
const ADMIN = { host: '127.0.0.1', port: 8701 };
/** Ports below this one are for root alone, on Linux unless it is told otherwise. */
const PRIVILEGED_PORTS = 1024;
/** Longest wait for whoever has a port. */
const ASK_MS = 3_000;

/** Looks at all of it. */
export async function portFindings({ runtime }: World, { ready, workers }: Wants): Promise<Finding[]> {
  const listen = ready?.config.listen;
  const admin = ready?.config.admin;
  const data = { host: listen?.host ?? DATA.host, port: listen?.port ?? DATA.port };
  const scheme = listen?.tls === undefined ? 'http' : 'https';
  const findings = [
    await portFinding(runtime, { ...data, check: 'port', key: 'listen', scheme }),
    sharingFinding(runtime, data.host, workers),
  ];
  if (admin?.enabled === false) return [...findings, fine('admin port', 'not wanted (admin.enabled: false)')];
  const port = admin?.port ?? (data.port === 0 ? 0 : ADMIN.port);
  const look = { check: 'admin port', key: 'admin', scheme: 'http', host: admin?.host ?? ADMIN.host, port };
  const finding = await portFinding(runtime, look);
  // One that nobody chose is done without.
  const isMild = finding.state === 'broken' && admin?.port === undefined;
  return [...findings, isMild ? { ...finding, state: 'warning' } : finding];
}

/** One listener. */
export interface PortLook {
  readonly check: string;
  /** Its options in the configuration. */
  readonly key: string;
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
}

/** Whether a port can be had, and who has it if not. */
export async function portFinding(
  runtime: Pick<Runtime, 'listen'>,
  { check, key, scheme, host, port }: PortLook,
): Promise<Finding> {
  const name = `${host}:${port}`;
  if (port === 0) return fine(check, `${name}: any free one`);
  const taken = tryToListen(runtime, { host, port, reusePort: false });
  if (typeof taken !== 'string') {
    taken.stop();
    return fine(check, `${name} is free`);
  }
  // uWebSockets.js does not say why it failed, so that the words for it name every reason.
  if (port < PRIVILEGED_PORTS && /EACCES|permission denied/i.test(taken))
    return broken(
      check,
      `${name} may not be had: ports below 1024 are for root`,
      `set ${key}.port to 1024 or more, or allow it: setcap cap_net_bind_service=+ep on the runtime's binary; with systemd AmbientCapabilities=CAP_NET_BIND_SERVICE`,
    );
  if (await isGateway(`${scheme}://${callable(host)}:${port}`))
    return fine(check, `${name} is taken by a Sluice gateway, which answers`);
  if (/EADDRNOTAVAIL|not available/i.test(taken))
    return broken(
      check,
      `${host} is no address of this machine`,
      `set ${key}.host to one of \`ip addr\`, or to 127.0.0.1`,
    );
  return broken(
    check,
    `${name} is taken by another program, or cannot be had: ${taken}`,
    `\`ss -ltnp 'sport = :${port}'\` shows by which: end it, or set ${key}.port to another port`,
  );
}

/** Whether several listeners can have one port, which is how workers share it. */
export function sharingFinding(runtime: Pick<Runtime, 'listen'>, host: string, workers: number): Finding {
  const check = 'port sharing';
  const first = tryToListen(runtime, { host, port: 0, reusePort: true });
  if (typeof first === 'string')
    return warning(check, `cannot be tried at ${host}: ${first}`, 'see the line of the port');
  const second = tryToListen(runtime, { host, port: first.port, reusePort: true });
  first.stop();
  if (typeof second !== 'string') {
    second.stop();
    return fine(check, 'workers can share the port (SO_REUSEPORT)');
  }
  const found = `workers cannot share the port: ${second}`;
  if (workers > 1) return broken(check, found, 'set workers to 1, or use Linux 3.9 or newer');
  return warning(check, found, 'leave workers at 1, or use Linux 3.9 or newer');
}

/** A listener, or why there is none. */
function tryToListen(
  runtime: Pick<Runtime, 'listen'>,
  at: { readonly host: string; readonly port: number; readonly reusePort: boolean },
): Listener | string {
  const plain = { transport: 'uwebsockets', tls: null, http2: false, http3: false } as const;
  try {
    return runtime.listen({ ...at, ...plain, bodyBytesMax: 1024, idleTimeoutMs: 1_000 }, () => ({
      status: 503,
      headers: {},
      body: null,
    }));
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

function callable(host: string): string {
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return name.includes(':') ? `[${name}]` : name;
}

/** True when a gateway answers: both of its listeners have /readyz. */
async function isGateway(url: string): Promise<boolean> {
  try {
    const reply = await fetch(`${url}/readyz`, { redirect: 'manual', signal: AbortSignal.timeout(ASK_MS) });
    return Array.isArray(fieldOf(await reply.json(), 'checks'));
  } catch {
    return false;
  }
}
