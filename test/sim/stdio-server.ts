// A simulated MCP server that is a process, of any era and with any vice; every start of its command is a process of its own.
// Called by world.ts. Promises: what it executes is in the ledger; what it does wrong is noted there, with the token that it is about; heal() ends all vices.
import { encode } from '../../src/base/bytes.ts';
import type { SimRuntime } from '../../src/runtime/sim.ts';
import type { Program, ProgramEvents, ProgramIo } from '../../src/runtime/sim-child.ts';
import type { Era } from '../../src/upstream/upstream.ts';
import { Brain, type Channel } from './brain.ts';
import type { Dice } from './dice.ts';
import type { ServerParts } from './http-server.ts';
import type { Ledger } from './ledger.ts';
import type { StdioFault, StdioPlan } from './plan.ts';
import { META, MODERN, parseRpc, part, type Rpc, tokensIn } from './rpc.ts';
import type { Trace } from './trace.ts';

/** A server and its processes. */
export class StdioServer {
  readonly plan: StdioPlan;
  readonly sim: SimRuntime;
  readonly trace: Trace;
  readonly dice: Dice;
  readonly ledger: Ledger;
  readonly processes = new Set<Process>();
  /** Processes ever started. */
  starts = 0;
  isHealed = false;
  isDown = false;
  readonly #parts: ServerParts<StdioPlan>;

  constructor(parts: ServerParts<StdioPlan>) {
    this.#parts = parts;
    this.plan = parts.plan;
    this.sim = parts.sim;
    this.trace = parts.trace;
    this.dice = parts.dice;
    this.ledger = parts.ledger;
    const program: Program = (io) => new Process(this, io);
    this.sim.program(parts.plan.name, program);
    for (const { atMs, forMs } of parts.plan.downs) {
      this.sim.clock.after(atMs, () => this.#goDown());
      this.sim.clock.after(atMs + forMs, () => {
        this.isDown = false;
      });
    }
  }

  newBrain(later: (ms: number, callback: () => void) => void): Brain {
    return new Brain({ ...this.#parts, later });
  }

  /** No vices from now on. */
  heal(): void {
    this.isHealed = true;
    this.isDown = false;
  }

  #goDown(): void {
    if (this.isHealed) return;
    this.trace.note(`${this.plan.name} is down`);
    this.isDown = true;
    for (const process of [...this.processes]) process.exit(1);
  }

  fault(): StdioFault | null {
    if (this.isHealed || !this.dice.chance(this.plan.faultShare)) return null;
    return this.dice.weighted(this.plan.faults);
  }

  /** Its tools have changed, as it says to all who listen. */
  tellChange(): void {
    for (const process of this.processes) process.tellChange();
  }
}

/** One life of it. */
class Process implements ProgramEvents {
  readonly #server: StdioServer;
  readonly #io: ProgramIo;
  readonly #brain: Brain;
  readonly #number: number;
  #isAlive = true;
  #rest = '';
  #isInitialized = false;
  readonly #decoder = new TextDecoder();
  readonly #listens = new Set<string | number>();
  readonly #questions = new Map<string, (answer: Rpc) => void>();
  readonly #callers = new Set<string>();
  #nextQuestion = 1;

  constructor(server: StdioServer, io: ProgramIo) {
    this.#server = server;
    this.#io = io;
    this.#number = ++server.starts;
    this.#brain = server.newBrain((ms, callback) => {
      io.clock.after(ms, () => {
        if (this.#isAlive) callback();
      });
    });
    server.processes.add(this);
    server.trace.note(`${server.plan.name} starts process ${this.#number}`);
    if (server.isDown) io.clock.after(1, () => this.exit(1));
  }

  exit(code: number): void {
    if (!this.#isAlive) return;
    this.#server.trace.note(`${this.#server.plan.name} ends process ${this.#number}`);
    this.#isAlive = false;
    this.#server.processes.delete(this);
    this.#io.exit(code);
  }

  onStdin(bytes: Uint8Array): void {
    const lines = `${this.#rest}${this.#decoder.decode(bytes, { stream: true })}`.split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!this.#isAlive) return;
      const message = parseRpc(line);
      if (message === null)
        this.#server.ledger.violate(
          'lines are messages',
          `${this.#server.plan.name} got ${line.slice(0, 80)}`,
        );
      else this.#take(message, line);
    }
  }

  onStdinEnd(): void {
    if (this.#server.plan.isStubborn) return;
    this.#io.clock.after(this.#server.dice.between(0, 50), () => this.exit(0));
  }

  onSignal(signal: string): boolean {
    if (this.#server.plan.isStubborn && signal === 'SIGTERM') return true;
    this.#isAlive = false;
    this.#server.processes.delete(this);
    return false;
  }

  tellChange(): void {
    const method = 'notifications/tools/list_changed';
    for (const id of this.#listens)
      this.#say({ jsonrpc: '2.0', method, params: { _meta: { [META.subscription]: id } } });
    if (this.#isInitialized) this.#say({ jsonrpc: '2.0', method });
  }

  #say(message: Rpc): void {
    if (this.#isAlive) this.#io.stdout(encode(`${JSON.stringify(message)}\n`));
  }

  #take(message: Rpc, line: string): void {
    const { id, method } = message;
    if (method === undefined) return this.#answered(message);
    if (id === undefined) {
      if (method === 'notifications/cancelled') this.#cancelled(message);
      return;
    }
    const fault = this.#server.fault();
    const { plan, trace, ledger, dice } = this.#server;
    trace.note(`${plan.name} process ${this.#number} gets ${line.slice(0, 80)} ${fault ?? ''}`);
    if (fault !== null) for (const token of tokensIn(line)) ledger.fault(token, fault);
    this.#seeCaller(line);
    if (fault === 'exit-before') return this.exit(3);
    if (fault === 'hang') return;
    if (fault === 'noise') this.#io.stderr(encode('something went\nwrong, or did it\n'));
    if (fault === 'garbage-line') this.#io.stdout(encode('this is no message {\n'));
    if (fault === 'deaf') {
      this.#io.pauseStdin();
      this.#io.clock.after(dice.between(500, 8_000), () => this.#io.resumeStdin());
    }
    if (fault !== 'slow') return this.#work(message, fault);
    this.#io.clock.after(dice.between(500, 6_000), () => {
      if (this.#isAlive) this.#work(message, fault);
    });
  }

  /** A process of a session serves one client, unless the configuration says otherwise. */
  #seeCaller(line: string): void {
    const { plan, ledger } = this.#server;
    for (const token of tokensIn(line)) {
      const call = ledger.calls.get(token);
      if (call !== undefined) this.#callers.add(call.client);
    }
    const legacy = [...this.#callers].filter((name) => name.endsWith('legacy'));
    if (plan.sharing !== 'shared' && plan.speaks === 'legacy' && legacy.length > 0 && this.#callers.size > 1)
      ledger.violate(
        'sessions are not shared',
        `process ${this.#number} of ${plan.name} serves ${[...this.#callers].join(', ')}`,
      );
  }

  #work(message: Rpc, fault: StdioFault | null): void {
    const { id, method } = message;
    const { speaks, reaction } = this.#server.plan;
    const era: Era = META.version in part(message.params, '_meta') ? 'modern' : 'legacy';
    const channel = this.#channel(era, fault);
    if (speaks === 'legacy' && method === 'server/discover') {
      if (reaction === 'exit') return this.exit(2);
      if (reaction === 'silence') return;
      return channel.answer({
        jsonrpc: '2.0',
        id,
        error: { code: -32601, message: 'no such method' },
      } as Rpc);
    }
    if (speaks === 'modern' && era === 'legacy') {
      const error = {
        code: -32022,
        message: 'unsupported',
        data: { supported: [MODERN], requested: 'older' },
      };
      return channel.answer({ jsonrpc: '2.0', id, error } as Rpc);
    }
    if (era === 'modern' && method === 'server/discover')
      return channel.answer({ jsonrpc: '2.0', id, result: this.#brain.discoverResult() } as Rpc);
    if (era === 'modern' && method === 'subscriptions/listen' && id !== undefined) return this.#listen(id);
    if (method === 'initialize') {
      this.#isInitialized = true;
      return channel.answer({ jsonrpc: '2.0', id, result: this.#brain.initializeResult() } as Rpc);
    }
    this.#brain.serve(message, channel);
  }

  #listen(id: string | number): void {
    this.#listens.add(id);
    this.#say({
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: { toolsListChanged: true }, _meta: { [META.subscription]: id } },
    });
  }

  #cancelled(message: Rpc): void {
    const { requestId } = message.params ?? {};
    if (typeof requestId === 'string' || typeof requestId === 'number') this.#listens.delete(requestId);
  }

  #answered(message: Rpc): void {
    const onAnswer = this.#questions.get(String(message.id));
    this.#questions.delete(String(message.id));
    onAnswer?.(message);
  }

  #channel(era: Era, fault: StdioFault | null): Channel {
    return {
      era,
      credentials: null,
      notify: (message) => this.#say(message),
      ask: (method, params, onAnswer) => {
        const id = `q${this.#number}-${this.#nextQuestion++}`;
        this.#questions.set(id, onAnswer);
        this.#say({ jsonrpc: '2.0', id, method, params });
        return true;
      },
      answer: (message) => this.#answer(message, fault),
    };
  }

  #answer(message: Rpc, fault: StdioFault | null): void {
    if (!this.#isAlive) return;
    const { plan, trace } = this.#server;
    trace.note(`${plan.name} process ${this.#number} answers ${JSON.stringify(message).slice(0, 80)}`);
    if (fault === 'exit-after') return this.exit(4);
    if (fault === 'half-line') {
      const text = JSON.stringify(message);
      this.#io.stdout(encode(text.slice(0, text.length / 2)));
      return this.exit(5);
    }
    if (fault === 'wrong-id') return this.#say({ ...message, id: 'nobody’s' });
    this.#say(message);
    if (fault === 'twice') this.#say(message);
  }
}
