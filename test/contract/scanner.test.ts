// Runs the scanner suites on the portable scanner, on the addon, and on the addon with each of its kernels forced.
// Promises: without an addon one printed line says what is missing; with SLUICE_SCAN=addon that is a failure instead.
import { expect, test } from 'bun:test';
import { loadAddon } from '../../src/scan/addon.ts';
import { portableScanner } from '../../src/scan/portable.ts';
import { scannerSuite } from './scanner.ts';
import { compareScans } from './scanner-compare.ts';
import { compareHeads, headSuite } from './scanner-head.ts';
import { routeSuite } from './scanner-route.ts';
import { compareStreams, streamSuite } from './scanner-sse.ts';

const { scanner: addon, failure } = loadAddon();

scannerSuite('the portable scanner', portableScanner);
headSuite('the portable scanner', portableScanner);
streamSuite('the portable scanner', portableScanner);
compareScans('the portable scanner', portableScanner);
routeSuite('the portable scanner', portableScanner);

if (addon === null) {
  if (Bun.env.SLUICE_SCAN === 'addon') {
    test('SLUICE_SCAN=addon: the addon loads', () => expect(failure).toBeNull());
  } else {
    console.log(
      `scanner contract: no rows for the addon and its kernels (${failure}); the portable scanner is tested alone`,
    );
  }
} else {
  const best = addon.kernel;
  headSuite('the addon', () => addon);
  streamSuite('the addon', () => addon);
  compareHeads('the addon', () => addon);
  compareStreams('the addon', () => addon);
  for (const kernel of addon.kernels) {
    const make = () => {
      expect(addon.useKernel(kernel)).toBe(true);
      return addon;
    };
    scannerSuite(`the addon on ${kernel}`, make);
    compareScans(`the addon on ${kernel}`, make);
    routeSuite(`the addon on ${kernel}`, make);
  }
  test('a kernel that is not there is refused, and the best one is the first', () => {
    expect(addon.useKernel('none-such')).toBe(false);
    expect(addon.kernels[0]).toBe(best);
    expect(addon.useKernel(best)).toBe(true);
    expect(addon.kernel).toBe(best);
    expect(addon.build).toContain('simdjson 3.');
  });
}
