// What is wrong right now, gathered from what the gateway says of itself.
// Called by views/overview.tsx. Promises: pure; worst first; each entry says what, and where on the page to look.
import type { Server, Status } from '../api/types.ts';
import { hrefOf } from './route.ts';

/** Something that somebody should look at. */
export interface Trouble {
  readonly key: string;
  readonly level: 'bad' | 'warn';
  readonly title: string;
  readonly detail: string;
  readonly href: string;
}

function ofGateway(status: Status): Trouble[] {
  const found: Trouble[] = [];
  const href = hrefOf('configuration');
  if (status.isDraining)
    found.push({
      key: 'drain',
      level: 'bad',
      title: 'The gateway is draining',
      detail: 'It takes no new work and ends when what runs is done.',
      href,
    });
  for (const { check, ok, detail } of status.readiness)
    if (!ok && !status.isDraining)
      found.push({ key: `ready:${check}`, level: 'bad', title: `Not ready: ${check}`, detail, href });
  for (const worker of status.workers)
    if (worker.state !== 'serving')
      found.push({
        key: `worker:${worker.index}`,
        level: 'bad',
        title: `Worker ${worker.index} is ${worker.state}`,
        detail: `It was started again ${worker.restarts} times.`,
        href: hrefOf('overview'),
      });
  if (status.registry.state === 'damaged' || status.registry.state === 'read-only')
    found.push({
      key: 'registry',
      level: status.registry.state === 'damaged' ? 'bad' : 'warn',
      title: `The registry is ${status.registry.state}`,
      detail: status.registry.detail,
      href,
    });
  return found;
}

function ofServer(server: Server): Trouble[] {
  if (!server.isEnabled || server.isShadowed) return [];
  const href = hrefOf('servers', server.name);
  const found: Trouble[] = [];
  const last = server.faults[0];
  if (server.problem !== null)
    found.push({
      key: `problem:${server.name}`,
      level: 'bad',
      title: `${server.name} is not served`,
      detail: server.problem,
      href,
    });
  if (server.state === 'failing')
    found.push({
      key: `failing:${server.name}`,
      level: 'bad',
      title: `${server.name} is failing`,
      detail: last === undefined ? 'Its calls fail.' : `${last.code}: ${last.detail}`,
      href,
    });
  for (const replica of server.replicas) {
    if (replica.breaker.state === 'closed' && !replica.isEjected) continue;
    // said already
    if (server.state === 'failing' && server.replicas.length === 1 && !replica.breaker.isForced) continue;
    const why =
      replica.breaker.state === 'closed' ? 'is left out' : `has its breaker ${replica.breaker.state}`;
    found.push({
      key: `breaker:${server.name}:${replica.index}`,
      level: replica.breaker.isForced || replica.breaker.state === 'half-open' ? 'warn' : 'bad',
      title: `${server.name}: ${server.replicas.length === 1 ? 'it' : `place ${replica.index}`} ${why}`,
      detail: replica.breaker.isForced
        ? 'Somebody tripped it; it stays open until it is reset.'
        : replica.address,
      href,
    });
  }
  return found;
}

/** Everything that is wrong, worst first. */
export function troubleIn(status: Status | null, servers: readonly Server[]): Trouble[] {
  const found = [...(status === null ? [] : ofGateway(status)), ...servers.flatMap(ofServer)];
  return found.sort((one, other) => Number(one.level === 'warn') - Number(other.level === 'warn'));
}
