// Where the time of one exchange went, as a bar and in figures.
// Called by views/exchange.tsx and views/try-it.tsx. Promises: parts in the order in which they happen; the figures are in a list beside it, for who does not see the bar.
import type { Phases } from '../api/types.ts';
import { duration } from '../model/format.ts';

const PARTS = [
  ['gatewayMs', 'gateway', 'In Sluice itself'],
  ['queueMs', 'queue', 'Waiting for a free place'],
  ['connectMs', 'connect', 'Opening a connection'],
  ['upstreamMs', 'upstream', 'At the server'],
] as const;

/** The bar of an exchange. */
export function PhasesBar({ phases }: { readonly phases: Phases }) {
  const whole = PARTS.reduce((sum, [key]) => sum + Math.max(0, phases[key]), 0);
  return (
    <div class="phases">
      <div class="phases-bar" aria-hidden="true">
        {PARTS.map(([key, name]) => (
          <span
            key={key}
            class={`phase phase-${name}`}
            style={{ width: `${whole === 0 ? 0 : (100 * Math.max(0, phases[key])) / whole}%` }}
          />
        ))}
      </div>
      <dl class="phases-list">
        {PARTS.map(([key, name, words]) => (
          <div key={key}>
            <dt>
              <span class={`swatch phase-${name}`} aria-hidden="true" />
              {words}
            </dt>
            <dd>{duration(phases[key])}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
