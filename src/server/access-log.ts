// One line in the log for each exchange that is over: what it was, where it went, what became of it and where its time went.
// Called by record.ts. Promises: says nothing of headers, and of arguments only what was asked for; lines are written some at a time, at the latest a moment after
// their exchange, and in order; what is kept is bounded.
import { decode, encode } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import type { Exchange } from '../exchange.ts';
import type { JournalEntry } from '../memory/journal.ts';
import { isoTime } from '../observe/fields.ts';
import { isWritten, type LogOutput, levelOf } from '../observe/log.ts';
import { type LineLevel, type Shape, shapeOf } from '../observe/log-format.ts';
import { type NameRule, nameRule, redactText, redactValue } from '../observe/redact.ts';
import type { Clock, Runtime, TimerId } from '../runtime/runtime.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { LogSpec, Snapshot } from '../snapshot.ts';
import { cellsInOrder } from '../upstream/spec.ts';
import { type AccessFields, AccessLines } from './access-line.ts';

const SECOND_MS = 1000;

/** What the lines of a worker's exchanges need. */
export interface AccessLogParts {
  readonly spec: LogSpec;
  readonly output: LogOutput;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly fraction: () => number;
  /** Said in every line, where there are several. */
  readonly worker: number | undefined;
}

/** What writes the lines of a worker's exchanges on stderr; null when there are to be none. */
export function accessLogOf(
  { standard, clock, random }: Runtime,
  { log: spec }: Snapshot,
  worker?: number,
): AccessLog | null {
  if (spec === undefined || spec.access === 'off' || levelOf(spec, 'access') === 'silent') return null;
  const output = {
    write: (lines: string) => standard.writeStderr(encode(lines)),
    wall: () => clock.wall(),
  };
  return new AccessLog({ spec, output, clock, fraction: () => random.fraction(), worker });
}

/** Writes the lines of one worker's exchanges. */
export class AccessLog {
  readonly #parts: AccessLogParts;
  readonly #shape: Shape;
  readonly #worker: number | undefined;
  readonly #isHidden: NameRule;
  readonly #writesInfo: boolean;
  readonly #writesWarn: boolean;
  readonly #lines = new AccessLines();
  /** Since the last flush. */
  #failures = 0;
  /** Lines that are not written yet. */
  #waiting = '';
  #timer: TimerId = 0;
  /** The last second that a line was of, and its text. */
  #second = -1;
  #secondText = '';
  #named: { readonly snapshot: Snapshot; readonly names: ReadonlyMap<number, string> } | null = null;

  constructor(parts: AccessLogParts) {
    this.#parts = parts;
    const { spec } = parts;
    this.#worker = parts.worker;
    this.#shape = shapeOf(spec.format);
    this.#isHidden = nameRule(spec.redact);
    const level = levelOf(spec, 'access');
    this.#writesInfo = isWritten('info', level) && spec.access === 'all';
    this.#writesWarn = isWritten('warn', level) && spec.access !== 'off';
  }

  /** An exchange is over, and this is its entry in the journal. */
  note(exchange: Exchange, entry: JournalEntry): void {
    const { outcome } = exchange;
    const went = outcome === 'ok' || outcome === 'abandoned';
    if (went ? !this.#writesInfo : !this.#writesWarn) return;
    const { spec, fraction } = this.#parts;
    if (went && spec.accessShare < 1 && fraction() >= spec.accessShare) return;
    if (this.#timer === 0) this.#timer = this.#parts.clock.after(LIMITS.accessLogFlushMs, () => this.flush());
    // A server that is down must not fill the log; whoever wants a line for each exchange gets one.
    if (spec.access === 'failures' && ++this.#failures > LIMITS.accessLogFailuresMax) return;
    const level: LineLevel = outcome === 'failed' ? 'warn' : 'info';
    this.#waiting += this.#line(level, exchange, entry);
    if (this.#waiting.length >= LIMITS.accessLogCharsMax) this.#write();
  }

  /** Writes what waits. */
  flush(): void {
    const { clock, output } = this.#parts;
    clock.cancel(this.#timer);
    this.#timer = 0;
    const count = this.#failures - LIMITS.accessLogFailuresMax;
    this.#failures = 0;
    if (count > 0) {
      const about = { room: 'access', worker: this.#worker, count };
      this.#waiting += this.#shape(output.wall(), 'warn', 'more exchanges were refused or failed', about);
    }
    this.#write();
  }

  #write(): void {
    const { output } = this.#parts;
    const lines = this.#waiting;
    if (lines === '') return;
    this.#waiting = '';
    output.write(lines);
  }

  #line(level: LineLevel, exchange: Exchange, entry: JournalEntry): string {
    const wallMs = entry.wallMs + exchange.durationMs;
    const fields = this.#fields(exchange, entry);
    if (this.#parts.spec.format === 'json') return this.#lines.line(this.#isoTime(wallMs), level, fields);
    return this.#shape(wallMs, level, 'exchange', { ...fields });
  }

  #fields(exchange: Exchange, entry: JournalEntry): AccessFields {
    const { body, nameStart, nameEnd } = entry;
    return {
      worker: this.#worker,
      room: 'access',
      id: exchange.id,
      verb: exchange.verb === 'POST' ? undefined : exchange.verb,
      endpoint: exchange.endpoint.path,
      server: this.#serverOf(exchange),
      method: exchange.method === '' ? undefined : exchange.method,
      name: nameEnd > nameStart ? redactText(decode(body, nameStart, nameEnd)) : undefined,
      arguments: this.#parts.spec.arguments === 'none' ? undefined : this.#arguments(exchange),
      era: exchange.era,
      status: exchange.status,
      outcome: exchange.outcome,
      error: exchange.errorCode ?? undefined,
      durationMs: micros(entry.durationUs),
      gatewayMs: micros(entry.gatewayUs),
      queueMs: some(entry.queueUs),
      connectMs: some(entry.connectUs),
      upstreamMs: some(entry.upstreamUs),
      requestBytes: body.length,
      replyBytes: entry.replyBytes,
      sends: entry.sends > 1 ? entry.sends : undefined,
      isCached: entry.isCached ? true : undefined,
      replica: entry.replica > 0 ? entry.replica : undefined,
      trace: exchange.trace === '' ? undefined : exchange.trace,
    };
  }

  /** A second's text serves for all of its lines. */
  #isoTime(wallMs: number): string {
    const whole = Math.trunc(wallMs);
    const second = Math.floor(whole / SECOND_MS);
    if (second !== this.#second) {
      this.#second = second;
      this.#secondText = isoTime(second * SECOND_MS).slice(0, 20);
    }
    const rest = whole - second * SECOND_MS;
    return `${this.#secondText}${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}Z`;
  }

  /** Name of the server that it went to. */
  #serverOf({ server, snapshot }: Exchange): string | undefined {
    if (server < 0) return undefined;
    if (this.#named?.snapshot !== snapshot) {
      const cells = snapshot.places?.servers ?? cellsInOrder(snapshot.servers);
      const names = new Map(snapshot.servers.map(({ name }, at) => [cells[at]?.[0] ?? at, name] as const));
      this.#named = { snapshot, names };
    }
    return this.#named.names.get(server);
  }

  /** What is to be said of a call's arguments, as JSON text. */
  #arguments({ body, envelope }: Exchange): string | undefined {
    const start = envelope?.[ENVELOPE.params] ?? -1;
    const end = envelope?.[ENVELOPE.params + 1] ?? -1;
    if (start < 0 || end - start > LIMITS.accessLogArgumentsBytesMax) return undefined;
    const { arguments: given } = paramsIn(body.subarray(start, end));
    if (typeof given !== 'object' || given === null) return undefined;
    if (this.#parts.spec.arguments === 'names') return JSON.stringify(Object.keys(given));
    return JSON.stringify(redactValue(given, this.#isHidden));
  }
}

/** Params may be a list, and no JSON at all. */
function paramsIn(bytes: Uint8Array): { readonly arguments?: unknown } {
  try {
    const params: unknown = JSON.parse(decode(bytes));
    return typeof params === 'object' && params !== null ? params : {};
  } catch {
    // Of a message that was refused for what it is.
    return {};
  }
}

/** Milliseconds with three places behind the point. */
function micros(us: number): number {
  return Math.round(us) / 1000;
}

function some(us: number): number | undefined {
  return us > 0 ? micros(us) : undefined;
}
