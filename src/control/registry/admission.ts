// What a change must be like before anything is done about it, and how refusals are worded.
// Called by live-registry.ts. Promises: pure.
import type { ErrorCode } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { keyText } from '../problem.ts';
import type { Fault } from './judge.ts';
import { MASK, type Mapping, type Refusal } from './registry.ts';
import { isMapping } from './rows.ts';
import { unmask } from './secrets.ts';
import type { Expectation, StoredServer, Written } from './store.ts';

/** A refusal. */
export function refuse(code: ErrorCode, detail: string, problems: readonly Fault[] = []): Refusal {
  return { ok: false, code, detail, problems };
}

/** A store's refusal. */
export function refusalOf({ code, detail }: Extract<Written, { ok: false }>): Refusal {
  return refuse(code, detail);
}

/** Why an entry is not what a change expects; null: it is. The store asks once more when it writes. */
export function unmetExpectation(
  name: string,
  stored: StoredServer | null,
  expect: Expectation,
): Refusal | null {
  if (stored === null)
    return typeof expect === 'number' ? refuse('GW_REGISTRY_UNKNOWN', `'${name}' is not in it`) : null;
  if (expect === 'new') return refuse('GW_REGISTRY_EXISTS', `'${name}' has version ${stored.version}`);
  if (expect === null || expect === stored.version) return null;
  const detail = `'${name}' has version ${stored.version}, and ${expect} was expected: read it anew`;
  return refuse('GW_REGISTRY_VERSION', detail);
}

/** Settings with their secrets put in; a refusal where there are none to put, or where they are no settings. */
export function settingsOf(
  given: unknown,
  stored: Mapping | null,
): { readonly ok: true; readonly settings: Mapping } | Refusal {
  const { value, unknown } = unmask(given, stored);
  if (unknown.length > 0)
    return refuse(
      'GW_REGISTRY_VALUE',
      'a secret is missing',
      unknown.map((path) => ({
        key: keyText(path),
        detail: `found ${MASK} where no secret is stored; write the secret itself, or a reference such as \${NAME}`,
      })),
    );
  if (!isMapping(value))
    return refuse('GW_REGISTRY_VALUE', 'the settings are no mapping', [
      { key: '', detail: 'allowed: a mapping with command (a process) or url (a server over HTTP)' },
    ]);
  const bytes = JSON.stringify(value).length;
  if (bytes <= LIMITS.registrySettingsBytesMax) return { ok: true, settings: value };
  return refuse(
    'GW_REGISTRY_VALUE',
    `the settings have ${bytes} characters, and ${LIMITS.registrySettingsBytesMax} are allowed`,
  );
}
