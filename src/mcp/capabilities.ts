// Which capabilities survive the way into the other era: those whose messages the bridge can carry.
// Called by to-modern and to-legacy. Promises: pure; values stay as they are.
import { isRecord } from './envelope.ts';
import { TASKS_EXTENSION } from './protocol.ts';

type Capabilities = Record<string, unknown>;

/** Tasks of 2025-11-25 and the extension of 2026-07-28 share a name but no message. */
function extensionsOf(capabilities: Readonly<Capabilities>): Capabilities {
  if (!isRecord(capabilities.extensions)) return {};
  const { [TASKS_EXTENSION]: _gone, ...extensions } = capabilities.extensions;
  return Object.keys(extensions).length === 0 ? {} : { extensions };
}

/** A server's capabilities without tasks; what nobody here knows stays, since its messages pass by. */
export function carriedServer(capabilities: unknown): Capabilities {
  if (!isRecord(capabilities)) return {};
  const { tasks: _gone, extensions: _all, ...rest } = capabilities;
  return { ...rest, ...extensionsOf(capabilities) };
}

/**
 * A client's capabilities: those whose requests the bridge turns into the other era's form, experimental ones and extensions. Roots lose `listChanged`,
 * which only one era can tell.
 */
export function carriedClient(capabilities: Readonly<Capabilities>): Capabilities {
  const { experimental, elicitation, sampling, roots } = capabilities;
  return {
    ...(isRecord(experimental) ? { experimental } : {}),
    ...(isRecord(elicitation) ? { elicitation } : {}),
    ...(isRecord(sampling) ? { sampling } : {}),
    ...(isRecord(roots) ? { roots: {} } : {}),
    ...extensionsOf(capabilities),
  };
}

/** What a server is called that does not say who it is. */
const NAMELESS = Object.freeze({ name: 'unknown', version: '0' });

/** An Implementation, or what stands for one. */
export function serverInfoOf(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : NAMELESS;
}
