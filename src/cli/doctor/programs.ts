// Whether the programs of stdio servers are there.
// Called by doctor.ts. Promises: starts none of them; looks in the PATH that each would be started with.
import { statSync } from 'node:fs';
import { resolvePath } from '../../control/place.ts';
import { isExecutable } from '../../runtime/executable.ts';
import type { ServerSpec } from '../../upstream/spec.ts';
import type { World } from '../world.ts';
import { broken, type Finding, fine } from './finding.ts';

/** Looks for all of them. */
export function commandFinding(
  servers: readonly ServerSpec[],
  { cwd, env }: Pick<World, 'cwd' | 'env'>,
): Finding {
  const check = 'programs';
  const faults: string[] = [];
  const found = new Set<string>();
  for (const { name, target } of servers) {
    if (target.kind !== 'stdio') continue;
    const folder = resolvePath(cwd, target.cwd ?? cwd);
    if (!isFolder(folder)) {
      faults.push(`${name}: its cwd ${folder} is no folder: make it, or change servers.${name}.cwd`);
      continue;
    }
    const paths = (target.env.PATH ?? env.PATH ?? '').split(':');
    if (isThere(target.command, folder, paths)) found.add(target.command);
    else
      faults.push(
        `${name}: '${target.command}' ${target.command.includes('/') ? 'is not there, or may not be executed' : 'is not in PATH'}: install it, or let servers.${name}.command be its absolute path`,
      );
  }
  if (faults.length > 0)
    return broken(
      check,
      `${faults.length} server${faults.length === 1 ? '' : 's'} cannot be started`,
      faults.join('\n'),
    );
  if (found.size === 0) return fine(check, 'no server of the configuration is a program');
  return fine(check, `found: ${[...found].join(', ')}`);
}

function isThere(command: string, folder: string, paths: readonly string[]): boolean {
  if (command.includes('/')) return isExecutable(resolvePath(folder, command));
  return paths.some((path) => path !== '' && isExecutable(`${path}/${command}`));
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
