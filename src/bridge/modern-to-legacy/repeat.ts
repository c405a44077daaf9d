// Which requests may be sent a second time, and when what is lost is given up.
// Called by call.ts. Promises: pure; a request that may have been executed is repeated only if that changes nothing at the server.
import type { GatewayError } from '../../base/errors.ts';
import { METHOD } from '../../mcp/protocol.ts';

/** Wait before a broken event stream is taken up again, where its server names none. */
export const RESUME_MS = 1_000;
/** Bounds of a wait that a server names. */
const WAIT_MS_MIN = 100;
const WAIT_MS_MAX = 30_000;
/** Wait before a request is repeated whose connection broke: the server is perhaps being started. */
export const REPEAT_MS = 200;
/** Times that a request is sent anew because its session was lost. */
export const LOST_MAX = 2;

/** Methods whose results may ask for input (2026-07-28, multi-round-trip requests). */
export const MAY_ASK: readonly string[] = [METHOD.toolsCall, METHOD.promptsGet, METHOD.resourcesRead];

/** Methods that change nothing at the server. */
const READS: readonly string[] = [
  METHOD.toolsList,
  METHOD.promptsList,
  METHOD.promptsGet,
  METHOD.resourcesList,
  METHOD.templatesList,
  METHOD.resourcesRead,
  METHOD.complete,
];

/** The wait before a stream is taken up again whose server names one: it may be any number. */
export function waitOf(retryMs: number): number {
  return Math.min(WAIT_MS_MAX, Math.max(WAIT_MS_MIN, retryMs));
}

/** Failures of a connection or a process, after which the server may be there again. */
const BREAKS: readonly string[] = ['GW_UPSTREAM_CLOSED', 'GW_UPSTREAM_EXITED', 'GW_UPSTREAM_FRAMING'];

/** True when a request that failed so may be sent again, though it may have been executed. `isRepeatableTool`: its server says so of the tool. */
export function mayRepeat(method: string, isRepeatableTool: boolean, { code }: GatewayError): boolean {
  if (!BREAKS.includes(code)) return false;
  return READS.includes(method) || (method === METHOD.toolsCall && isRepeatableTool);
}
