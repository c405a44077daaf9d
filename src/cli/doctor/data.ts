// Whether what a gateway keeps is kept well: its folder, its files' modes, the registry.
// Called by doctor.ts. Promises: changes not a byte; what secrets are in is never read.
import { accessSync, constants, statfsSync, statSync } from 'node:fs';
import { directoryOf } from '../../control/place.ts';
import { damagedText } from '../../control/registry/condition.ts';
import { faultOf } from '../../control/registry/database.ts';
import { databasesOf } from '../../control/registry/open.ts';
import { copyPathOf, registryPath } from '../../control/registry/place.ts';
import { FileRefused, inspectFile } from '../../control/registry/sqlite-file.ts';
import { bytesText } from '../operate/table.ts';
import type { World } from '../world.ts';
import { broken, type Finding, fine, warning } from './finding.ts';

const MIB = 1024 * 1024;
/** Room on the disk below which a gateway is likely to run into its end. */
const DISK_BYTES_MIN = 64 * MIB;
/** Files that are for the gateway's user alone. */
const PRIVATE_FILES = [
  'admin.token',
  'keys.json',
  'registry.db',
  'registry.db-wal',
  'registry.last-good.json',
];
/** Bits of a mode that let others in. */
const OTHERS = 0o077;

/** Looks at all of it; `dataDir` null: nothing is kept. */
export async function dataFindings(
  { runtime }: World,
  dataDir: string | null,
  hasRegistry: boolean,
): Promise<Finding[]> {
  if (dataDir === null)
    return [warning('data', 'nothing is kept over a restart', 'set dataDir, or HOME in the environment')];
  const folder = folderFinding(dataDir);
  if (!hasRegistry) return [folder, fine('registry', 'not wanted (registry.enabled: false)')];
  return [folder, await registryFinding(runtime.name, dataDir)];
}

/** The folder: whether it can be written to, and who else can read. */
export function folderFinding(dataDir: string): Finding {
  const check = 'data';
  const mode = modeOf(dataDir);
  if (mode === null) {
    const above = firstAbove(dataDir);
    if (mayWrite(above)) return fine(check, `${dataDir} is made at the first start`);
    return broken(
      check,
      `${dataDir} cannot be made: ${above} may not be written to`,
      `mkdir -p ${dataDir} as root, and chown it to the gateway's user; or set dataDir`,
    );
  }
  if (!statSync(dataDir).isDirectory())
    return broken(check, `${dataDir} is no folder`, 'move it away, or set dataDir to another place');
  if (!mayWrite(dataDir))
    return broken(
      check,
      `${dataDir} may not be written to`,
      `chown it to the gateway's user, and chmod 700 ${dataDir}`,
    );
  const open = [dataDir, ...PRIVATE_FILES.map((name) => `${dataDir}/${name}`)].filter(
    (path) => ((modeOf(path) ?? 0) & OTHERS) !== 0,
  );
  if (open.length > 0)
    return warning(
      check,
      'others than its user get at what is secret',
      open.map((path) => `chmod ${path === dataDir ? 700 : 600} ${path}`).join('\n'),
    );
  const freeBytes = diskBytes(dataDir);
  const text = `${dataDir} can be written to, by its user alone; ${bytesText(freeBytes)} free`;
  if (freeBytes < DISK_BYTES_MIN)
    return warning(check, text, 'make room: changes of the registry are refused when the disk is full');
  return fine(check, text);
}

/** The registry's file. */
export async function registryFinding(runtime: World['runtime']['name'], dataDir: string): Promise<Finding> {
  const check = 'registry';
  const path = registryPath(dataDir);
  if (modeOf(path) === null) {
    const copy = copyPathOf(path);
    if (modeOf(copy) === null)
      return fine(check, 'there is none yet: the first server that is added makes it');
    return warning(check, `${path} is missing`, `the next start makes it of its copy ${copy}`);
  }
  const open = await databasesOf(runtime);
  if (open === null) return broken(check, 'this runtime has no SQLite', 'use Bun, or Node 22.5 or newer');
  try {
    inspectFile(open, path);
    return fine(check, `${path} is sound`);
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    const fault = thrown instanceof FileRefused ? thrown.trouble : faultOf(thrown);
    if (fault === 'busy') return warning(check, `${path} is locked: it was not looked at`, 'try again');
    const mend =
      fault === 'damaged'
        ? damagedText(path)
        : fault === 'newer'
          ? 'use the newer gateway'
          : `see whether the gateway's user may read ${path}`;
    return broken(check, `${path}: ${reason}`, mend);
  }
}

/** Permissions of a file; null when it is not there. */
function modeOf(path: string): number | null {
  try {
    return statSync(path).mode & 0o777;
  } catch {
    return null;
  }
}

function firstAbove(path: string): string {
  let above = directoryOf(path);
  while (above !== '/' && modeOf(above) === null) above = directoryOf(above);
  return above;
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function diskBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}
