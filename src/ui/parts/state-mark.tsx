// A state in one word with its colour: of servers, breakers, outcomes, workers.
// Called by views. Promises: the word alone says it: the colour is for the glance.

/** How good a state is. */
export type Tone = 'good' | 'warn' | 'bad' | 'idle';

const TONES: Readonly<Record<string, Tone>> = {
  serving: 'good',
  ok: 'good',
  closed: 'good',
  live: 'good',
  waiting: 'idle',
  disabled: 'idle',
  absent: 'idle',
  abandoned: 'idle',
  opening: 'idle',
  'half-open': 'warn',
  refused: 'warn',
  draining: 'warn',
  'read-only': 'warn',
  starting: 'warn',
  failing: 'bad',
  failed: 'bad',
  open: 'bad',
  damaged: 'bad',
  lost: 'bad',
};

/** A state as a small mark; `tone` where the word alone does not tell. */
export function StateMark({ state, tone }: { readonly state: string; readonly tone?: Tone }) {
  return <span class={`mark mark-${tone ?? TONES[state] ?? 'idle'}`}>{state}</span>;
}
