// What a server's answers say about the eras that it speaks: the table of verdicts, and nothing else.
// Called by era-probe.ts, era-sinks.ts and era.ts. Promises: pure; no verdict comes of what a server says before it has looked at the message (who may
// ask, how often, that it is broken). Source: MCP 2026-07-28, versioning and transports.
import { type GatewayError, RPC } from '../base/errors.ts';
import { isRecord } from '../mcp/envelope.ts';
import { isModernVersion, LEGACY_VERSIONS } from '../mcp/protocol.ts';

/**
 * What a probe found. `legacy`: it answered as only a server without the modern era does. `silent`: a process said nothing or ended, as legacy ones may;
 * that can also mean that it starts slowly, so it is believed for a while only. `none`: no evidence at all.
 */
export type ProbeVerdict = 'modern' | 'legacy' | 'silent' | 'none';

/**
 * What a reply to `initialize` says. `modern-only`: it cannot come of a server that knows the method. `doubtful`: it may, but a faulty message gets the same.
 * `other`: it says nothing about eras.
 */
export type InitializeVerdict = 'accepted' | 'modern-only' | 'doubtful' | 'other';

/** Authentication comes first, and so do limits of rate and time. */
const BEFORE_THE_MESSAGE: readonly number[] = [401, 403, 407, 408, 425, 429];

/** Ends of a call to a process in which it had the message, and gave no answer. */
const SILENCE: readonly string[] = ['GW_UPSTREAM_EXITED', 'GW_UPSTREAM_TIMEOUT'];

/** Codes with which a modern server refuses a request at the HTTP level. */
const MODERN_REFUSALS: readonly unknown[] = [
  RPC.parse,
  RPC.invalidRequest,
  RPC.methodNotFound,
  RPC.invalidParams,
  RPC.headerMismatch,
  RPC.missingCapability,
  RPC.unsupportedVersion,
];

function tellsNothing(status: number): boolean {
  return (
    status < 200 || (status >= 300 && status < 400) || status >= 500 || BEFORE_THE_MESSAGE.includes(status)
  );
}

function hasModern(versions: readonly unknown[]): boolean {
  return versions.some((version) => typeof version === 'string' && isModernVersion(version));
}

/** The error object of a message, whatever its id: those at the HTTP level often come with a null one. */
function errorOf(message: unknown): Record<string, unknown> | null {
  return isRecord(message) && isRecord(message.error) ? message.error : null;
}

/** `data.supported` of an error, or null. */
function supportedBy(error: Record<string, unknown>): readonly unknown[] | null {
  const { data } = error;
  return isRecord(data) && Array.isArray(data.supported) ? data.supported : null;
}

/** Verdict on a reply to `server/discover`; `message` is its parsed body, null when that is no JSON. */
export function judgeDiscover(isProcess: boolean, status: number, message: unknown): ProbeVerdict {
  if (tellsNothing(status)) return 'none';
  const result = isRecord(message) ? message.result : undefined;
  if (isRecord(result)) {
    const { supportedVersions, resultType } = result;
    if (Array.isArray(supportedVersions)) return hasModern(supportedVersions) ? 'modern' : 'legacy';
    return typeof resultType === 'string' ? 'modern' : 'legacy';
  }
  const error = errorOf(message);
  if (error === null) return status >= 400 ? 'legacy' : 'none';
  if (error.code !== RPC.unsupportedVersion) return 'legacy';
  const supported = supportedBy(error);
  if (supported === null) return isProcess ? 'modern' : 'legacy';
  return hasModern(supported) ? 'modern' : 'legacy';
}

/** Verdict on a `server/discover` that got no reply. */
export function judgeSilence(isProcess: boolean, error: GatewayError): ProbeVerdict {
  return isProcess && SILENCE.includes(error.code) ? 'silent' : 'none';
}

/** Verdict on a reply to `initialize`. */
export function judgeInitialize(status: number, message: unknown): InitializeVerdict {
  if (tellsNothing(status)) return 'other';
  if (isRecord(message) && isRecord(message.result)) return 'accepted';
  const error = errorOf(message);
  if (error === null) {
    if (status === 404 || status === 405) return 'modern-only';
    return status === 400 ? 'doubtful' : 'other';
  }
  switch (error.code) {
    case RPC.unsupportedVersion: {
      const isLegacyToo = supportedBy(error)?.some((version) =>
        LEGACY_VERSIONS.some((known) => known === version),
      );
      return isLegacyToo === true ? 'other' : 'modern-only';
    }
    case RPC.methodNotFound:
      return 'modern-only';
    case RPC.invalidParams:
    case RPC.invalidRequest:
      return 'doubtful';
    default:
      return status === 400 || status === 404 || status === 405 ? 'doubtful' : 'other';
  }
}

/** True when a server that speaks the modern era would hardly answer a modern request so: it is to be asked again. */
export function isSuspect(status: number, message: unknown): boolean {
  const code = errorOf(message)?.code;
  // A modern server says so with 404.
  if (status === 200) return code === RPC.methodNotFound;
  return (status === 400 || status === 404 || status === 405) && !MODERN_REFUSALS.includes(code);
}
