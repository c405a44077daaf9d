// The choice of a scanner, and what happens when there is no addon to choose.
// Promises: holds with and without a built addon; what the machine has decides which of two endings is looked at.
import { afterAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ERRORS, GatewayError } from '../../../src/base/errors.ts';
import { loadAddon } from '../../../src/scan/addon.ts';
import { isScanPreference } from '../../../src/scan/preference.ts';
import { chooseScanner } from '../../../src/scan/scan.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-addon-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('portable is portable, whatever there is', () => {
  const { scanner, reason } = chooseScanner('portable');
  expect([scanner.name, scanner.kernel]).toEqual(['portable', 'typescript']);
  expect(reason).toContain('asked for');
});

test('auto takes the addon where it loads, and says why not where it does not', () => {
  const { scanner, reason } = chooseScanner('auto');
  const { failure } = loadAddon();
  expect(scanner.name).toBe(failure === null ? 'addon' : 'portable');
  expect(reason).toContain(failure ?? 'simdjson 3.');
});

test('addon is the addon, or an error that says what to do', () => {
  const { failure } = loadAddon();
  if (failure === null) expect(chooseScanner('addon').scanner.name).toBe('addon');
  else expect(() => chooseScanner('addon')).toThrow('npm run build:native');
});

test('a place without an addon gives the reason and no exception', () => {
  const { scanner, failure } = loadAddon(join(folder, 'none.node'));
  expect(scanner).toBeNull();
  expect(failure).toContain('none.node');
});

test('a file that is no addon, or another one, gives the reason', () => {
  writeFileSync(join(folder, 'garbage.node'), 'not an addon');
  expect(loadAddon(join(folder, 'garbage.node')).scanner).toBeNull();
  writeFileSync(join(folder, 'other.cjs'), 'module.exports = { scan() {} };');
  expect(loadAddon(join(folder, 'other.cjs')).failure).toContain('is not the addon of this version');
  writeFileSync(join(folder, 'throws.cjs'), "throw 'a string';");
  expect(loadAddon(join(folder, 'throws.cjs')).failure).toBe('a string');
});

test('the error of a missing addon is a fault of the gateway', () => {
  const row = ERRORS.GW_SCAN_ADDON;
  expect([row.http, row.jsonrpc, row.source, row.retry]).toEqual([500, -32603, 'gateway', 'never']);
  expect(new GatewayError('GW_SCAN_ADDON').message).toStartWith('Cannot load');
});

test('words that are preferences', () => {
  expect(['auto', 'addon', 'portable', 'Addon', '', 'native'].map(isScanPreference)).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});
