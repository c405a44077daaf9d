// Kills a gateway with SIGKILL at random moments under registrations: `npm run crash [-- --kills 200 --seed N]`.
// Run by people and by .ci/run. Promises: prints the seed first; exit code 1 with the reason when an acknowledged registration is lost or the registry does not open.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { crash } from '../test/fixtures/crash.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string' },
    life: { type: 'string', default: '300' },
  },
});
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const folder = mkdtempSync(join(tmpdir(), 'sluice-crash-'));
console.log(`crash: seed ${seed}, data in ${folder}`);
try {
  const report = await crash({
    ...{ folder, kills: Number(values.kills), seed, callers: 8, lifeMs: Number(values.life) },
    say: (line) => console.log(line),
  });
  console.log(
    `crash: ${report.kills} kills, ${report.acknowledged} registrations acknowledged, none lost (seed ${seed})`,
  );
  rmSync(folder, { recursive: true, force: true });
} catch (thrown) {
  console.error(
    `crash: ${thrown instanceof Error ? thrown.message : String(thrown)} (seed ${seed}, data in ${folder})`,
  );
  process.exitCode = 1;
}
