// Chooses the scanner of this thread: the native addon where it loads, its TypeScript twin elsewhere.
// Called once per thread by worker.ts and by the control plane, which log and show the reason. Promises: `addon` never
// turns into `portable` in silence.
import { GatewayError } from '../base/errors.ts';
import { loadAddon } from './addon.ts';
import type { Scanner } from './contract.ts';
import { portableScanner } from './portable.ts';
import type { ScanPreference } from './preference.ts';

/** A scanner and, for the log and the status page, why it is this one. */
export interface ScanChoice {
  readonly scanner: Scanner;
  readonly reason: string;
}

/** The scanner for a preference. Throws GW_SCAN_ADDON when `addon` is wanted and cannot be loaded. */
export function chooseScanner(preference: ScanPreference): ScanChoice {
  if (preference === 'portable')
    return { scanner: portableScanner(), reason: 'the portable scanner was asked for' };
  const { scanner, failure } = loadAddon();
  if (scanner !== null) return { scanner, reason: `the addon is loaded (${scanner.build})` };
  if (preference === 'addon') {
    throw new GatewayError(
      'GW_SCAN_ADDON',
      `${failure}; run "npm run build:native", or let SLUICE_SCAN be auto`,
    );
  }
  return { scanner: portableScanner(), reason: `the addon cannot be loaded: ${failure}` };
}
