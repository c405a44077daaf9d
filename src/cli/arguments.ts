// What command lines are made of: options that several commands share, and readers of their values.
// Called by program.ts and operate/commands.ts. Promises: a value that cannot be used is refused with what is allowed.
import { InvalidArgumentError, Option } from 'commander';
import { LIMITS } from '../base/limits.ts';

/** The part of a command's help that shows how it is used. */
export function examples(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}\n`).join('')}`;
}

/** `--config`. */
export function configOption(): Option {
  return new Option(
    '--config <file>',
    'configuration: .yaml, .json, .jsonc or .toml, or the mcpServers JSON of any client (default: sluice.yaml and others here, then in ~/.config/sluice)',
  );
}

/** `--log`. */
export function levelOption(): Option {
  return new Option('--log <level>', 'least level of log lines, instead of log.level').choices([
    'debug',
    'info',
    'warn',
    'error',
    'silent',
  ]);
}

/** A port; 0 is one. */
export function port(text: string): number {
  const value = Number(text);
  if (/^[0-9]{1,5}$/.test(text) && value <= 65_535) return value;
  // commander asks for this class.
  throw new InvalidArgumentError('Allowed: a whole number from 0 to 65535.');
}

/** A number of data workers. */
export function workers(text: string): number | 'auto' {
  return text === 'auto' ? text : whole(1, LIMITS.workersMax)(text);
}

/** A reader of whole numbers from `least` to `most`. */
export function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^[0-9]{1,15}$/.test(text) && value >= least && value <= most) return value;
    // commander asks for this class.
    throw new InvalidArgumentError(`Allowed: a whole number from ${least} to ${most}.`);
  };
}

const SECONDS_MAX = 86_400;

/** A time in seconds, with fractions. */
export function seconds(text: string): number {
  const value = Number(text);
  if (/^[0-9]+(?:\.[0-9]+)?$/.test(text) && value <= SECONDS_MAX) return value;
  // commander asks for this class.
  throw new InvalidArgumentError(`Allowed: seconds, from 0 to ${SECONDS_MAX}.`);
}

/** The values of an option that may be given again. */
export function gathered(line: string, before: readonly string[] = []): string[] {
  return [...before, line];
}
