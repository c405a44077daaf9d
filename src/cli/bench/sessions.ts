// Legacy sessions of a load: one a client, opened before it and ended after it, over the same connections as the calls.
// Called by bench.ts. Promises: a few at a time, so that a server which starts a process for each is not asked for all at once; every
// step is bounded in time; ending is a courtesy and never fails the command.
import { METHOD } from '../../mcp/protocol.ts';
import type { Caller } from './caller.ts';
import {
  deleteBytes,
  FIRST_ID,
  initializeParams,
  notificationBytes,
  type Place,
  type RequestBytes,
  requestBytes,
  type Speech,
} from './message.ts';

/** Sessions opened or ended at the same time. */
const WIDTH = 8;
const END_WITHIN_MS = 2_000;

/** Sends one message and waits for its reply; resolves to what was wrong, or null. */
function exchange(
  caller: Caller,
  request: RequestBytes,
  id: number,
  timeoutMs: number,
): Promise<string | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => caller.abort('no answer in time'), timeoutMs);
    caller.send(request, id, 0, () => {
      clearTimeout(timer);
      resolve(caller.reader.fault);
    });
  });
}

/** Opens a session for every client; resolves to what was wrong with the first that failed, or null. */
export async function openSessions(
  callers: readonly Caller[],
  place: Place,
  speech: Speech,
  timeoutMs: number,
): Promise<string | null> {
  const hello = { method: METHOD.initialize, params: initializeParams(speech) };
  let fault: string | null = null;
  await each(callers, async (caller) => {
    if (fault !== null) return;
    const opened = await exchange(caller, requestBytes(place, speech, hello, null), FIRST_ID, timeoutMs);
    if (opened !== null) {
      fault = opened;
      return;
    }
    caller.session = caller.reader.session;
    const ready = notificationBytes(
      place,
      speech,
      { method: METHOD.initialized, params: {} },
      caller.session,
    );
    fault ??= await exchange(caller, ready, 0, timeoutMs);
  });
  return fault;
}

/** Ends the sessions and closes the connections. */
export async function closeSessions(callers: readonly Caller[], place: Place, speech: Speech): Promise<void> {
  const untilMs = performance.now() + END_WITHIN_MS;
  await each(callers, async (caller) => {
    const leftMs = untilMs - performance.now();
    if (caller.session !== null && leftMs > 0)
      await exchange(caller, deleteBytes(place, speech, caller.session), 0, leftMs);
    caller.close();
  });
}

async function each(callers: readonly Caller[], work: (caller: Caller) => Promise<void>): Promise<void> {
  let next = 0;
  const walk = async (): Promise<void> => {
    for (let caller = callers[next++]; caller !== undefined; caller = callers[next++]) await work(caller);
  };
  await Promise.all(Array.from({ length: Math.min(WIDTH, callers.length) }, walk));
}
