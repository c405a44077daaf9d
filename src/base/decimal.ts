// Numbers with three places behind the point, as text.
// Called by server/access-line.ts and server/server-timing.ts, for each exchange. Promises: pure; the text is the shortest, as JSON has it.

const THOUSANDTHS = 1000;

/** A number ≥ 0 rounded to three places behind the point. Engines take four times as long for the text of a fraction as for that of two whole numbers. */
export function decimal(value: number): string {
  const all = Math.round(value * THOUSANDTHS);
  const whole = Math.floor(all / THOUSANDTHS);
  const rest = all - whole * THOUSANDTHS;
  if (rest === 0) return `${whole}`;
  if (rest % 100 === 0) return `${whole}.${rest / 100}`;
  if (rest % 10 === 0) return `${whole}.${rest < 100 ? '0' : ''}${rest / 10}`;
  return `${whole}.${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}`;
}
