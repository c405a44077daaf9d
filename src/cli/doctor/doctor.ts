// `sluice doctor`: what a gateway needs of its machine and its configuration, looked at one by one.
// Called by operate/commands.ts. Promises: changes nothing and starts nothing that stays; a look that fails is a finding, not the end; exit code 1 only when something is broken.
import { loadConfig } from '../../control/load.ts';
import { noteLine, problemLine } from '../../control/problem.ts';
import { findConfig, homeState, NO_CONFIG, prepare, type Ready } from '../configure.ts';
import { createPaint } from '../paint.ts';
import { EXIT, type World, workersWanted } from '../world.ts';
import { dataFindings } from './data.ts';
import { broken, type Finding, findingsText, fine, warning } from './finding.ts';
import { machineFindings } from './machine.ts';
import { portFindings } from './ports.ts';
import { programFindings } from './program.ts';
import { commandFinding } from './programs.ts';

/** Options as the command line gives them. */
export interface DoctorOptions {
  readonly config?: string;
  readonly json?: boolean;
}

/** Runs the command; resolves to the exit code. */
export async function doctor(world: World, options: DoctorOptions): Promise<number> {
  const { finding, ready } = await configFinding(world, options.config);
  const workers = ready?.workers ?? workersWanted(world, 'auto');
  const dataDir = ready === null ? homeState(world) : ready.dataDir;
  const looks: readonly (() => Promise<Finding[]>)[] = [
    async () => programFindings(world, ready?.scan ?? 'auto'),
    () => machineFindings(world, { ready, workers }),
    async () => [finding],
    async () => (ready === null ? [] : [commandFinding(ready.snapshot.servers, world)]),
    () => portFindings(world, { ready, workers }),
    () => dataFindings(world, dataDir, ready?.config.registry.enabled ?? true),
  ];
  const findings: Finding[] = [];
  for (const look of looks) {
    try {
      findings.push(...(await look()));
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      findings.push(
        broken('doctor', `a look failed: ${reason}`, 'This is a fault of Sluice: please report it'),
      );
    }
  }
  const isWell = findings.every(({ state }) => state !== 'broken');
  if (options.json === true) world.out(`${JSON.stringify({ ok: isWell, checks: findings }, null, 2)}\n`);
  else world.out(findingsText(findings, createPaint(world.isColourWanted())));
  return isWell ? EXIT.ok : EXIT.failed;
}

/** Whether there is a configuration, and one that can be served. */
async function configFinding(
  world: World,
  named: string | undefined,
): Promise<{ readonly finding: Finding; readonly ready: Ready | null }> {
  const check = 'configuration';
  const found = await findConfig(world, named);
  if (found === null) {
    const [first = '', ...rest] = NO_CONFIG.split('\n');
    return { finding: warning(check, first, rest.join('\n')), ready: null };
  }
  const loaded = await loadConfig(world.runtime.files, { ...found, env: world.env });
  if (!loaded.ok) {
    const problems = loaded.problems.map(problemLine).join('\n');
    return { finding: broken(check, `${found.shown} is refused`, problems), ready: null };
  }
  const reasons: string[] = [];
  const ready = prepare(world, loaded, { hasRegistry: true }, (reason) => reasons.push(reason));
  if (ready === null)
    return { finding: broken(check, `${found.shown} cannot be served`, reasons.join('\n')), ready };
  const { servers, endpoints } = ready.snapshot;
  const text = `${found.shown} is valid: ${servers.length} server${servers.length === 1 ? '' : 's'}, ${endpoints.length} endpoints`;
  const notes = loaded.notes.map(noteLine).join('\n');
  return { finding: notes === '' ? fine(check, text) : warning(check, text, notes), ready };
}
