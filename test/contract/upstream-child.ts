// The server of deedOf() over stdio: a child process that tells the test what it got before it acts upon it.
// Started by upstream-stdio.test.ts. Promises: reports to CONTROL_PORT every message that a client sent (not what its transport adds: the
// handshake, cancellations) and waits for leave; `release` answers what is held; ends with its stdin, or with the test.
import { deedOf } from './upstream-server.ts';

const INITIALIZED = JSON.stringify({
  protocolVersion: '2025-11-25',
  capabilities: { tools: {}, logging: {} },
  serverInfo: { name: 'deeds', version: '1' },
});

let held: string[] = [];
/** Calls that are never answered while anybody waits for them. */
let hanging: string[] = [];
let isSpent = false;
const reported: string[] = [];

function say(...lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
}

function idAnswer(body: string): string {
  return JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(body).id, result: { content: [] } });
}

function act(body: string): void {
  const deed = deedOf(body);
  switch (deed.kind) {
    case 'answer':
      return say(deed.text);
    case 'stream':
      return say(...deed.notes, deed.text);
    case 'hold':
      if (isSpent) say(deed.text);
      else held.push(deed.text);
      return;
    case 'hang':
      if (isSpent) say(idAnswer(body));
      else hanging.push(idAnswer(body));
      return;
    case 'die':
      return process.exit(7);
    case 'half':
    case 'accept':
      return;
  }
}

/** What the test says: `go` lets the oldest reported message act. */
function obey(order: string): void {
  if (order === 'go') act(reported.shift() ?? '{}');
  if (order === 'release' || order === 'end') {
    say(...held);
    held = [];
  }
  if (order === 'end') {
    // A legacy call outlives its client: those that nobody waits for are answered, now and from now on, so that the child comes to rest.
    isSpent = true;
    say(...hanging);
    hanging = [];
  }
}

/** Cuts what comes into lines. */
function byLine(visit: (line: string) => void): (bytes: Uint8Array) => void {
  const decoder = new TextDecoder();
  let rest = '';
  return (bytes) => {
    rest += decoder.decode(bytes, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) visit(line);
  };
}

const takeOrders = byLine(obey);
const control = await Bun.connect({
  hostname: '127.0.0.1',
  port: Number(process.env.CONTROL_PORT),
  socket: {
    data: (_socket, bytes) => takeOrders(bytes),
    close: () => process.exit(0),
  },
});

const takeMessages = byLine((body) => {
  const { id, method } = JSON.parse(body) as { id?: string | number; method?: string };
  if (method === 'initialize') say(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${INITIALIZED}}`);
  if (method === 'initialize' || method?.startsWith('notifications/')) return;
  reported.push(body);
  control.write(`${body}\n`);
});
for await (const bytes of Bun.stdin.stream()) takeMessages(bytes);
process.exit(0);
