// What is put off until all events of a turn of the event loop were looked at: requests to servers and whole replies.
// Called by the listeners and sockets of bun.ts and node.ts. Promises: order is kept; one that throws costs the others nothing; what is put off while the rest runs has
// its turn in the next round.
//
// A write to a peer that sleeps wakes it, and that costs the writer more than the bytes do. Under load a turn has a dozen requests and replies: written together, the first
// of them wakes the peer and the others find it awake. A routed call takes a quarter less CPU for it (docs/performance.md); one that is alone waits for nothing.
import type { Reply } from './runtime.ts';
import { surface } from './surface.ts';

type Task = () => void;

let waiting: Task[] = [];
let spare: Task[] = [];

/** Runs the task at the end of this turn. */
export function putOff(task: Task): void {
  if (waiting.push(task) === 1) setImmediate(runAll);
}

function runAll(): void {
  const due = waiting;
  waiting = spare;
  spare = due;
  for (const task of due) {
    try {
      task();
    } catch (thrown) {
      surface(thrown);
    }
  }
  due.length = 0;
}

/** Whether a reply may be put off: its body is there, and it is no refusal. Those are few, and leave before uWebSockets closes a connection for what came behind its request. */
export function mayWait({ status, body }: Reply): boolean {
  return status < 400 && (body === null || body instanceof Uint8Array);
}
