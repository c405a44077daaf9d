// The books of one run: what clients asked, what servers executed, what came back; and what of that may not be.
// Called by the clients, the servers and world.ts. Promises: every call bears a token that nothing else bears; whatever breaks a rule is noted with the token
// that it is about, and nothing is thrown.
import { ERRORS, type ErrorCode } from '../../src/base/errors.ts';
import type { Dice } from './dice.ts';
import type { Trace } from './trace.ts';

/** A rule that was broken. */
export interface Violation {
  readonly rule: string;
  readonly detail: string;
}

/** How a call ended, as its client saw it. `left`: the client gave it up. */
export type Outcome = 'answer' | 'error' | 'broken' | 'left';

/** One call of a tool, or a read. */
export interface Call {
  readonly token: string;
  readonly client: string;
  readonly server: string;
  readonly tool: string;
  /** What the server must be shown of the client's credentials; null: nothing. */
  readonly credentials: string | null;
  /** The tool says of itself that it may run twice. */
  readonly isRepeatable: boolean;
  /** Its server is a process that may be slow to look at it, and speaks the era in which it may ask. */
  readonly mayBeLate: boolean;
  /** Nothing in the plan can keep it from succeeding. */
  mustSucceed: boolean;
  executions: number;
  /** It was sent again with answers: an error is then about that alone. */
  isContinued: boolean;
  /** What the server did wrong about it. */
  readonly faults: string[];
  outcome: Outcome | null;
  /** Code of the gateway's error that ended it. */
  errorCode: ErrorCode | null;
}

const VIOLATIONS_MAX = 20;

export class Ledger {
  readonly violations: Violation[] = [];
  readonly calls = new Map<string, Call>();
  /** Requests that clients have sent, of any kind. */
  requests = 0;
  /** True once the gateway was told to end: it may refuse what comes. */
  isDraining = false;
  readonly #dice: Dice;
  readonly #trace: Trace;

  constructor(dice: Dice, trace: Trace) {
    this.#dice = dice;
    this.#trace = trace;
  }

  violate(rule: string, detail: string): void {
    this.#trace.note(`VIOLATION ${rule}: ${detail}`);
    if (this.violations.length < VIOLATIONS_MAX) this.violations.push({ rule, detail });
  }

  open(
    call: Pick<
      Call,
      'client' | 'server' | 'tool' | 'credentials' | 'isRepeatable' | 'mayBeLate' | 'mustSucceed'
    >,
  ): Call {
    const token = `tk${String(this.calls.size).padStart(4, '0')}${this.#dice.letters()}`;
    const opened: Call = {
      ...call,
      token,
      executions: 0,
      isContinued: false,
      faults: [],
      outcome: null,
      errorCode: null,
    };
    this.calls.set(token, opened);
    this.#trace.note(`${token} ${call.client} calls ${call.server}.${call.tool}`);
    return opened;
  }

  /** A server was asked to execute; null when nobody asked for that. */
  executed(token: string, server: string, credentials: string | null): Call | null {
    const call = this.calls.get(token);
    if (call === undefined) {
      this.violate(
        'nothing is invented',
        `${server} was asked to execute ${JSON.stringify(token)}, which nobody called`,
      );
      return null;
    }
    call.executions++;
    this.#trace.note(`${token} is executed by ${server} (${call.executions})`);
    if (call.server !== server)
      this.violate(
        'calls reach the server that they are for',
        `${token} of ${call.server} came to ${server}`,
      );
    if (call.executions > 1 && !call.isRepeatable)
      this.violate(
        'no execution twice',
        `${token} (${call.tool}) was executed ${call.executions} times by ${server}`,
      );
    if (credentials !== call.credentials)
      this.violate(
        'credentials go where they belong',
        `${token} came to ${server} with ${credentials}, its client has ${call.credentials}`,
      );
    if (call.outcome === 'error' && isUnexecuted(call.errorCode) && !call.isContinued)
      this.violate(
        'what was said not to be executed is not',
        `${token} was executed after ${call.errorCode}`,
      );
    return call;
  }

  /**
   * Tokens came to a client: they may be these and no others. But a process does not say which call a question of it is about, so one that goes on for long with
   * a call that is over asks whoever uses it next: the gateway waits for two seconds.
   */
  delivered(tokens: readonly string[], own: ReadonlySet<string>, where: string): void {
    for (const token of tokens)
      if (!own.has(token) && !this.#isLate(token))
        this.violate(
          'no data of others',
          `${where} was given ${token} of ${this.calls.get(token)?.client ?? 'nobody'}`,
        );
  }

  #isLate(token: string): boolean {
    const call = this.calls.get(token);
    return call?.mayBeLate === true && call.outcome !== null;
  }

  close(call: Call, outcome: Outcome, detail = '', errorCode: ErrorCode | null = null): void {
    this.#trace.note(`${call.token} ends: ${outcome} ${errorCode ?? ''} ${detail}`);
    if (call.outcome !== null) {
      this.violate('one end for every call', `${call.token} ended twice: ${call.outcome}, ${outcome}`);
      return;
    }
    call.outcome = outcome;
    call.errorCode = errorCode;
    if (outcome === 'answer' && call.executions === 0)
      this.violate('answers come from the server', `${call.token} was answered and never executed`);
    if (
      outcome === 'error' &&
      isUnexecuted(errorCode) &&
      call.executions > 0 &&
      !call.isRepeatable &&
      !call.isContinued
    )
      this.violate(
        'what was said not to be executed is not',
        `${call.token} ended with ${errorCode}, and was executed`,
      );
    if (errorCode === 'GW_BASE_INTERNAL') this.violate('no fault of our own', `${call.token}: ${detail}`);
    if (call.mustSucceed && !this.isDraining && (outcome === 'error' || outcome === 'broken'))
      this.violate(
        'what nothing disturbs succeeds',
        `${call.token} (${call.client} at ${call.server}.${call.tool}) ended: ${outcome} ${errorCode ?? ''} ${detail}`,
      );
  }

  /** The server did something wrong about a call on purpose. */
  fault(token: string, what: string): void {
    this.#trace.note(`${token} meets ${what}`);
    this.calls.get(token)?.faults.push(what);
  }
}

/** True when the table says that nothing of the request can have been executed. */
function isUnexecuted(code: ErrorCode | null): boolean {
  return code !== null && ERRORS[code].source !== 'client' && ERRORS[code].retry !== 'never';
}
