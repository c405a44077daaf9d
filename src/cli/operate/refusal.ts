// Why a command of an operator cannot go on.
// Called by every file of operate/. Promises: a value, never thrown; its words say what to do; the exit code is 2 where the command line is at fault.
import { printable } from '../paint.ts';
import { EXIT, type World } from '../world.ts';

/** Why it cannot go on. */
export class Refusal {
  /** For people, beginning in lower case. */
  readonly why: string;
  readonly exitCode: number;
  /** Code of docs/errors.md, or ''. */
  readonly code: string;

  constructor(why: string, { exitCode = EXIT.failed, code = '' }: { exitCode?: number; code?: string } = {}) {
    this.why = why;
    this.exitCode = exitCode;
    this.code = code;
  }
}

/** One that the command line is to blame for. */
export function misuse(why: string): Refusal {
  return new Refusal(why, { exitCode: EXIT.usage });
}

/** Prints it; gives its exit code. */
export function refuse(world: World, refusal: Refusal): number {
  world.err(`sluice: ${printable(refusal.why)}${refusal.code === '' ? '' : ` [${refusal.code}]`}\n`);
  return refusal.exitCode;
}
