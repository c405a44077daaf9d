// What a gateway runs on: its runtime and the scanner of its messages.
// Called by doctor.ts. Promises: loads the addon as a gateway does, in this process alone.
import { dependencies, engines } from '../../../package.json';
import type { Config } from '../../control/schema.ts';
import { chooseScanner } from '../../scan/scan.ts';
import type { World } from '../world.ts';
import { broken, type Finding, fine, warning } from './finding.ts';

/** Node's own SQLite, which the registry is kept with there, came with it. */
const NODE_WITH_SQLITE = '22.5.0';

/** Looks at both. */
export function programFindings(world: World, scan: Config['scan']): Finding[] {
  return [runtimeFinding(process.versions.bun, process.versions.node), scannerFinding(scan, world)];
}

/** Bun's version, or Node's where there is no Bun. */
export function runtimeFinding(bun: string | undefined, node: string): Finding {
  const check = 'runtime';
  if (bun !== undefined) {
    if (isAtLeast(bun, dependencies.bun)) return fine(check, `Bun ${bun}`);
    return warning(
      check,
      `Bun ${bun}`,
      `Sluice is tested with Bun ${dependencies.bun}: run \`npm install\` in its folder, and leave SLUICE_BUN unset`,
    );
  }
  const least = engines.node.replace(/[^0-9.]/g, '');
  if (!isAtLeast(node, least))
    return broken(check, `Node ${node}`, `use Bun ${dependencies.bun}, or Node ${least} or newer`);
  if (isAtLeast(node, NODE_WITH_SQLITE)) return fine(check, `Node ${node}`);
  return warning(
    check,
    `Node ${node}: the registry cannot be kept`,
    `use Bun ${dependencies.bun}, or Node ${NODE_WITH_SQLITE} or newer`,
  );
}

/** Compares versions number by number. */
function isAtLeast(version: string, least: string): boolean {
  const [a, b] = [version, least].map((text) =>
    text.split('.').map((part) => Number.parseInt(part, 10) || 0),
  );
  for (let at = 0; at < 3; at++) {
    const difference = (a?.[at] ?? 0) - (b?.[at] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

function scannerFinding(scan: Config['scan'], { env }: World): Finding {
  const check = 'addon';
  const mend =
    'run `npm run build:native` in the folder of Sluice: it needs a C++ compiler (g++ or clang) and make';
  try {
    const { scanner, reason } = chooseScanner(scan);
    const text = `${scanner.name}, kernel ${scanner.kernel}: ${reason}`;
    const isWanted = scan === 'portable' || scanner.name === 'addon';
    return isWanted ? fine(check, text) : warning(check, text, mend);
  } catch (thrown) {
    const asked = (env.SLUICE_SCAN ?? '') === '' ? 'let scan be auto' : 'leave SLUICE_SCAN unset';
    return broken(check, thrown instanceof Error ? thrown.message : String(thrown), `${mend}; or ${asked}`);
  }
}
