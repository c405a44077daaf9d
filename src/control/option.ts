// The words that the table of options is written in: a number with its unit, a time, a flag, a text, a list …
// Called by schema.ts and server-schema.ts. Promises: each option carries its meaning and unit, for docs/config.md and editors.
// zod/mini, because each schema of zod's larger face costs the start 50 µs more.
import * as z from 'zod/mini';

/** A minute in milliseconds. */
export const MINUTE = 60_000;
/** A day in milliseconds. */
export const DAY = 24 * 60 * MINUTE;

/** Gives a schema its meaning, and a unit. */
export function told<T extends z.ZodMiniType>(schema: T, description: string, unit?: string): T {
  z.globalRegistry.add(schema, unit === undefined ? { description } : { description, unit });
  return schema;
}

/** A whole number with its unit, bounds and default. */
export function whole(unit: string, bounds: { min: number; max: number; value: number }, meaning: string) {
  const number = z.int().check(z.minimum(bounds.min), z.maximum(bounds.max));
  return told(z._default(number, bounds.value), meaning, unit);
}

/** A time in milliseconds. */
export function time(min: number, max: number, value: number, meaning: string) {
  return whole('ms', { min, max, value }, meaning);
}

/** True or false. */
export function flag(value: boolean, meaning: string) {
  return told(z._default(z.boolean(), value), meaning);
}

/** Text that a pattern describes; `allowed` says it in words. */
export function shaped(pattern: RegExp, allowed: string) {
  return z.string().check(z.regex(pattern, { error: allowed }));
}

/** Text that is not empty and holds no NUL. */
export function text(meaning: string, unit?: string) {
  return told(shaped(/^[^\0]+$/, 'text that is not empty, without NUL'), meaning, unit);
}

/** Text that names a file; relative ones are taken from the configuration's own directory. */
export function file(meaning: string) {
  return text(meaning, 'path');
}

/** One of some words. */
export function choice<const T extends readonly [string, ...string[]]>(
  values: T,
  value: T[number],
  meaning: string,
) {
  return told(z._default(z.enum(values), value), meaning);
}

/** A list, empty by default. */
export function list<T extends z.ZodMiniType<string, string>>(entry: T, countMax: number, meaning: string) {
  return told(z._default(z.array(entry).check(z.maxLength(countMax)), []), meaning);
}

/** Names that a listener is asked for; left out: those of this machine. */
export function hosts<T extends z.ZodMiniType<string, string>>(hostName: T) {
  return z.optional(
    told(
      z.array(hostName).check(z.minLength(1), z.maxLength(1024)),
      "Host names that requests may be addressed to (the Host header, without port). Left out: localhost, 127.0.0.1 and [::1], and `host` itself when that is another address. '*' accepts every name: only behind something that checks it.",
    ),
  );
}
