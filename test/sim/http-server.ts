// A simulated MCP server behind HTTP, of any era and with any vice, on raw simulated sockets.
// Called by world.ts. Promises: what it executes is in the ledger; what it does wrong is noted there, with the token that it is about; heal() ends all vices.
import { concat, encode } from '../../src/base/bytes.ts';
import { Outbox } from '../../src/runtime/outbox.ts';
import type { HeaderRecord, Socket, SocketHandler } from '../../src/runtime/runtime.ts';
import type { SimRuntime } from '../../src/runtime/sim.ts';
import { FramingReader, writeChunk, writeHead } from '../../src/runtime/sim-http.ts';
import type { Era } from '../../src/upstream/upstream.ts';
import { Brain, type Channel } from './brain.ts';
import type { Dice } from './dice.ts';
import type { Ledger } from './ledger.ts';
import type { HttpFault, HttpPlan } from './plan.ts';
import { eventText, META, MODERN, parseRpc, part, type Rpc, tokensIn } from './rpc.ts';
import type { Trace } from './trace.ts';

/** What a simulated server is made of. */
export interface ServerParts<P> {
  readonly sim: SimRuntime;
  readonly plan: P;
  readonly ledger: Ledger;
  readonly trace: Trace;
  readonly dice: Dice;
}

interface Session {
  readonly id: string;
  readonly credentials: string | null;
  stream: Exchange | null;
}

const JSON_HEADERS = { 'content-type': 'application/json' };

/** A server, at all addresses of its replicas. */
export class HttpServer {
  readonly plan: HttpPlan;
  readonly ports: readonly number[];
  readonly sim: SimRuntime;
  readonly trace: Trace;
  readonly dice: Dice;
  readonly ledger: Ledger;
  readonly brain: Brain;
  readonly sessions = new Map<string, Session>();
  readonly connections = new Set<Connection>();
  /** Streams of subscriptions/listen, with their subscription ids. */
  readonly listens = new Map<Exchange, string | number>();
  /** Questions that wait for an answer, with the session that they were asked in. */
  readonly questions = new Map<string, { session: string; onAnswer: (answer: Rpc) => void }>();
  isHealed = false;
  #isStopped = false;
  #nextSession = 1;
  #nextQuestion = 1;
  #close: (() => void)[] = [];

  constructor(parts: ServerParts<HttpPlan>, firstPort: number) {
    this.plan = parts.plan;
    this.sim = parts.sim;
    this.trace = parts.trace;
    this.dice = parts.dice;
    this.ledger = parts.ledger;
    this.ports = Array.from({ length: parts.plan.replicas }, (_, index) => firstPort + index);
    const later = (ms: number, callback: () => void): void => void this.sim.clock.after(ms, callback);
    this.brain = new Brain({ ...parts, later });
    this.up();
    for (const { atMs, forMs, silently } of parts.plan.downs) {
      later(atMs, () => this.#goDown(silently));
      later(atMs + forMs, () => this.up());
    }
  }

  /** No vices from now on; it has forgotten nothing. */
  heal(): void {
    this.isHealed = true;
    this.up();
  }

  up(): void {
    for (const close of this.#close.splice(0)) close();
    if (this.#isStopped) return;
    this.trace.note(`${this.plan.name} is up`);
    this.#close = this.ports.map((port) => {
      return this.sim.accept({ host: '127.0.0.1', port }, (socket) => new Connection(this, socket));
    });
  }

  /** The end of it. */
  stop(): void {
    this.isHealed = true;
    this.#isStopped = true;
    for (const close of this.#close.splice(0)) close();
    for (const connection of [...this.connections]) connection.end();
  }

  #goDown(silently: boolean): void {
    if (this.isHealed) return;
    this.trace.note(`${this.plan.name} is down${silently ? ', silently' : ''}`);
    for (const close of this.#close.splice(0)) close();
    if (silently) this.#close = this.ports.map((port) => this.sim.silence({ host: '127.0.0.1', port }));
    for (const connection of [...this.connections]) connection.end();
    // What comes back is another life of it.
    this.sessions.clear();
    this.questions.clear();
  }

  /** The fault that a request meets, or null. */
  fault(): HttpFault | null {
    if (this.isHealed || !this.dice.chance(this.plan.faultShare)) return null;
    return this.dice.weighted(this.plan.faults);
  }

  newSession(credentials: string | null): Session {
    const session = { id: `${this.plan.name}-${this.#nextSession++}`, credentials, stream: null };
    this.sessions.set(session.id, session);
    return session;
  }

  ask(session: string, onAnswer: (answer: Rpc) => void): string {
    const id = `q${this.#nextQuestion++}`;
    this.questions.set(id, { session, onAnswer });
    return id;
  }

  /** Its tools have changed, as it says to all who listen. */
  tellChange(): void {
    const method = 'notifications/tools/list_changed';
    for (const [exchange, id] of this.listens)
      exchange.event({ jsonrpc: '2.0', method, params: { _meta: { [META.subscription]: id } } });
    for (const { stream } of this.sessions.values()) stream?.event({ jsonrpc: '2.0', method });
  }
}

/** One connection. */
class Connection implements SocketHandler {
  readonly server: HttpServer;
  readonly outbox: Outbox;
  readonly socket: Socket;
  isOpen = true;
  /** It has done something on this connection that HTTP does not know. */
  isTainted = false;
  exchange: Exchange | null = null;
  readonly #reader: FramingReader;
  #line = '';
  #headers: HeaderRecord = {};
  #parts: Uint8Array[] = [];
  #idleTimer = 0;

  constructor(server: HttpServer, socket: Socket) {
    this.server = server;
    this.socket = socket;
    this.outbox = new Outbox(socket);
    server.connections.add(this);
    this.#reader = new FramingReader(
      {
        onHead: (line, headers) => {
          this.#line = line;
          this.#headers = headers;
          this.#parts = [];
        },
        onBody: (bytes) => this.#parts.push(bytes),
        onEnd: () => this.#request(),
      },
      false,
    );
  }

  #request(): void {
    const { server } = this;
    server.sim.clock.cancel(this.#idleTimer);
    if (this.exchange !== null && !this.isTainted)
      server.ledger.violate('one request at a time', `${server.plan.name} owed a reply on the connection`);
    const body = new TextDecoder().decode(concat(this.#parts));
    this.exchange = new Exchange(this, this.#line, this.#headers, body);
    this.exchange.serve();
  }

  /** The reply is complete. */
  done(): void {
    this.exchange = null;
    const { keepAliveMs } = this.server.plan;
    if (keepAliveMs > 0 && this.isOpen)
      this.#idleTimer = this.server.sim.clock.after(keepAliveMs, () => {
        if (this.exchange === null) this.finish();
      });
  }

  /** Ends properly after what was written. */
  finish(): void {
    this.outbox.end();
  }

  end(): void {
    this.socket.destroy();
    this.#gone();
  }

  #gone(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.server.connections.delete(this);
    this.server.sim.clock.cancel(this.#idleTimer);
    this.exchange?.gone();
  }

  onOpen(): void {}
  onData(bytes: Uint8Array): void {
    if (this.isOpen) this.#reader.push(bytes);
  }
  onDrain(): void {
    this.outbox.flush();
  }
  onEnd(): void {}
  onClose(): void {
    this.#gone();
  }
  onConnectError(): void {}
}

/** One request and its reply. */
class Exchange {
  readonly #connection: Connection;
  readonly #server: HttpServer;
  readonly #verb: string;
  readonly #headers: HeaderRecord;
  readonly #body: string;
  #fault: HttpFault | null = null;
  #isStreaming = false;
  #isOver = false;

  constructor(connection: Connection, line: string, headers: HeaderRecord, body: string) {
    this.#connection = connection;
    this.#server = connection.server;
    this.#verb = line.split(' ')[0] ?? '';
    this.#headers = headers;
    this.#body = body;
  }

  get #credentials(): string | null {
    return this.#headers.authorization ?? null;
  }

  serve(): void {
    const { server } = this.#connection;
    const { trace, plan } = server;
    this.#fault = server.fault();
    trace.note(`${plan.name} gets ${this.#verb} ${this.#body.slice(0, 60)} ${this.#fault ?? ''}`);
    if (this.#fault !== null)
      for (const token of tokensIn(this.#body)) server.ledger.fault(token, this.#fault);
    switch (this.#fault) {
      case 'reset-before':
        return this.#connection.end();
      case 'hang':
        return;
      case 'slow':
        return void server.sim.clock.after(server.dice.between(500, 6_000), () => this.#work());
      case 'status-500':
        return this.#raw(
          500,
          JSON_HEADERS,
          '{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"broken"}}',
        );
      case 'status-503':
        return this.#raw(503, { 'content-type': 'text/plain', 'retry-after': '1' }, 'later');
      case 'html':
        return this.#raw(200, { 'content-type': 'text/html' }, '<p>hello</p>');
      case 'empty':
        return this.#raw(202, {}, '');
      case 'garbage-head':
        this.#connection.isTainted = true;
        return this.#bytes(encode('HTTQ/9 fine\r\nthis is: none\r\n\r\nnothing'));
      case 'forget-sessions':
        server.sessions.clear();
        return this.#work();
      default:
        return this.#work();
    }
  }

  #work(): void {
    if (this.#isOver) return;
    const message = this.#verb === 'POST' ? parseRpc(this.#body) : null;
    if (this.#verb !== 'POST') return this.#otherVerb();
    if (message === null)
      return this.#raw(400, JSON_HEADERS, '{"jsonrpc":"2.0","error":{"code":-32700,"message":"what?"}}');
    const era: Era = META.version in part(message.params, '_meta') ? 'modern' : 'legacy';
    const { speaks } = this.#server.plan;
    if (speaks !== 'dual' && speaks !== era) return this.#wrongEra(message, era);
    if (era === 'modern') this.#modern(message);
    else this.#legacy(message);
  }

  #wrongEra({ id }: Rpc, era: Era): void {
    const error =
      era === 'modern'
        ? { code: -32000, message: 'Bad Request: Server not initialized' }
        : { code: -32022, message: 'unsupported', data: { supported: [MODERN], requested: 'older' } };
    if (id === undefined) return this.#raw(era === 'modern' ? 400 : 202, {}, '');
    this.#reply(400, { jsonrpc: '2.0', id, error } as Rpc);
  }

  // ── modern ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #modern(message: Rpc): void {
    const { brain } = this.#server;
    const { id, method } = message;
    if (id === undefined) return this.#raw(202, {}, '');
    if (method === 'server/discover')
      return this.#reply(200, { jsonrpc: '2.0', id, result: brain.discoverResult() });
    if (method === 'subscriptions/listen') return this.#listen(id);
    brain.serve(message, this.#channel('modern', null));
  }

  #listen(id: string | number): void {
    this.#server.listens.set(this, id);
    this.event({
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: { toolsListChanged: true }, _meta: { [META.subscription]: id } },
    });
  }

  #channel(era: Era, session: string | null): Channel {
    return {
      era,
      credentials: this.#credentials,
      notify: (message) => this.event(message),
      ask: (method, params, onAnswer) => {
        if (session === null) return false;
        const id = this.#server.ask(session, onAnswer);
        this.event({ jsonrpc: '2.0', id, method, params });
        return true;
      },
      answer: (message) => this.#answer(message),
    };
  }

  // ── legacy ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #legacy(message: Rpc): void {
    const { server } = this.#connection;
    const { id, method } = message;
    if (method === 'initialize') {
      const session = server.plan.hasSessions ? server.newSession(this.#credentials) : null;
      const headers = session === null ? {} : { 'mcp-session-id': session.id };
      const result = server.brain.initializeResult();
      return this.#reply(200, { jsonrpc: '2.0', id, result } as Rpc, headers);
    }
    const session = this.#session();
    if (server.plan.hasSessions && session === null) return this.#unknown(id);
    if (session !== null && session.credentials !== this.#credentials)
      server.ledger.violate(
        'sessions are not shared',
        `${session.id} of ${session.credentials} was used by ${this.#credentials}`,
      );
    if (method === undefined) return this.#answered(session, message);
    if (id === undefined) return this.#raw(202, {}, '');
    server.brain.serve(message, this.#channel('legacy', session?.id ?? null));
  }

  #session(): Session | null {
    return this.#server.sessions.get(this.#headers['mcp-session-id'] ?? '') ?? null;
  }

  #unknown(id: string | number | undefined): void {
    const error = { code: -32001, message: 'Session not found' };
    this.#raw(
      404,
      JSON_HEADERS,
      JSON.stringify({ jsonrpc: '2.0', ...(id === undefined ? {} : { id }), error }),
    );
  }

  #answered(session: Session | null, message: Rpc): void {
    const question = this.#server.questions.get(String(message.id));
    this.#raw(202, {}, '');
    if (question === undefined || question.session !== session?.id) return;
    this.#server.questions.delete(String(message.id));
    question.onAnswer(message);
  }

  #otherVerb(): void {
    const { plan, sessions } = this.#server;
    const session = this.#session();
    if (!plan.hasSessions || plan.speaks === 'modern' || (this.#verb === 'GET' && !plan.hasStreams))
      return this.#raw(
        405,
        { ...JSON_HEADERS, allow: 'POST' },
        '{"jsonrpc":"2.0","error":{"code":-32000,"message":"no"}}',
      );
    if (session === null) return this.#unknown(undefined);
    if (this.#verb === 'DELETE') {
      sessions.delete(session.id);
      return this.#raw(200, {}, '');
    }
    if (session.stream !== null)
      return this.#raw(409, JSON_HEADERS, '{"jsonrpc":"2.0","error":{"code":-32000,"message":"one"}}');
    session.stream = this;
    this.#start();
  }

  // ── what goes out ────────────────────────────────────────────────────────────────────────────────────────────────

  #start(): void {
    if (this.#isStreaming || this.#isOver) return;
    this.#isStreaming = true;
    const head = { 'content-type': 'text/event-stream', 'transfer-encoding': 'chunked' };
    this.#connection.outbox.send(writeHead('HTTP/1.1 200 OK', head));
  }

  /** Sends an event of this exchange's stream. */
  event(message: Rpc): void {
    if (this.#isOver) return;
    this.#start();
    this.#chunk(eventText(message));
  }

  #chunk(text: string): void {
    this.#connection.outbox.send(writeChunk(encode(text)));
  }

  #answer(message: Rpc): void {
    const { plan, dice } = this.#server;
    const asEvents =
      this.#isStreaming || plan.replies === 'events' || (plan.replies === 'either' && dice.chance(0.5));
    if (this.#isOver) return;
    if (!asEvents) return this.#reply(200, message);
    this.#start();
    this.#lastEvents(message);
  }

  #lastEvents(message: Rpc): void {
    const { trace, plan } = this.#server;
    trace.note(`${plan.name} answers ${JSON.stringify(message).slice(0, 80)}`);
    const text = eventText(message);
    const half = text.slice(0, text.length / 2);
    switch (this.#fault) {
      case 'reset-after':
        return this.#connection.end();
      case 'stall-reply':
        return this.#chunk(half);
      case 'half-reply':
      case 'too-long-length':
        this.#chunk(half);
        return this.#connection.finish();
      case 'garbage-body':
        this.#chunk('data: {"jsonrpc":"2.0",,,\n\n');
        break;
      case 'wrong-id':
        this.#chunk(eventText({ ...message, id: 'nobody’s' }));
        break;
      case 'no-answer':
        break;
      case 'odd-events':
        this.#chunk(`: a comment\n\nevent: other\ndata: none\n\nid: 7\nretry: 10\n\n`);
        this.#chunk(text);
        break;
      default:
        this.#chunk(text);
    }
    this.#connection.outbox.send(writeChunk(new Uint8Array(0)));
    this.#end();
  }

  #reply(status: number, message: Rpc, headers: HeaderRecord = {}): void {
    if (this.#isOver) return;
    const { trace, plan } = this.#server;
    trace.note(`${plan.name} replies ${status} ${JSON.stringify(message).slice(0, 80)}`);
    const said = this.#fault === 'wrong-id' ? { ...message, id: 'nobody’s' } : message;
    const text =
      this.#fault === 'garbage-body' || this.#fault === 'no-answer'
        ? '{"jsonrpc":"2.0","id'
        : JSON.stringify(said);
    this.#raw(status, { ...JSON_HEADERS, ...headers }, text);
  }

  /** A whole reply, with whatever is wrong with its framing. */
  #raw(status: number, headers: HeaderRecord, text: string): void {
    if (this.#isOver) return;
    const body = encode(text);
    const fault = this.#fault;
    const wrong = fault === 'too-short-length' ? -3 : fault === 'too-long-length' ? 5 : 0;
    const length = Math.max(0, body.length + wrong);
    const close: HeaderRecord = fault === 'close' ? { connection: 'close' } : {};
    const head = writeHead(`HTTP/1.1 ${status} Sim`, {
      ...headers,
      ...close,
      'content-length': String(length),
    });
    const whole = concat([head, body]);
    const { outbox } = this.#connection;
    this.#connection.isTainted ||= fault !== null;
    switch (fault) {
      case 'reset-after':
        return this.#connection.end();
      case 'half-reply':
        outbox.send(whole.subarray(0, whole.length - Math.ceil(body.length / 2) - 1));
        return this.#connection.finish();
      case 'stall-reply':
        return void outbox.send(whole.subarray(0, whole.length - Math.ceil(body.length / 2) - 1));
      case 'twice':
        outbox.send(concat([whole, whole]));
        break;
      case 'too-long-length':
        outbox.send(whole);
        return this.#connection.finish();
      default:
        outbox.send(whole);
    }
    if (fault === 'close' || fault === 'early-close') this.#connection.finish();
    this.#end();
  }

  #bytes(bytes: Uint8Array): void {
    this.#connection.outbox.send(bytes);
    this.#end();
  }

  #end(): void {
    this.#forget();
    this.#connection.done();
  }

  #forget(): void {
    this.#isOver = true;
    this.#server.listens.delete(this);
    for (const session of this.#server.sessions.values()) if (session.stream === this) session.stream = null;
  }

  /** Its connection is gone. */
  gone(): void {
    this.#forget();
  }
}
