// What a change would do, before it is done.
// Called by views/server-form.tsx, views/server-actions.tsx and views/configuration.tsx. Promises: says it in sentences; a plan that does nothing says that.
import type { Plan } from '../api/types.ts';

function Line({ mark, words }: { readonly mark: string; readonly words: string }) {
  return (
    <li>
      <span class={`plan-mark plan-${mark}`}>{mark}</span> <span>{words}</span>
    </li>
  );
}

/** A plan as a list. */
export function PlanView({ plan }: { readonly plan: Plan }) {
  const { starts, stops, changes, applies, waits, notes } = plan;
  const size = starts.length + stops.length + changes.length + applies.length + waits.length;
  return (
    <section class="plan" aria-label="Plan">
      {size === 0 ? <p>Nothing changes in the running gateway.</p> : null}
      <ul class="plain">
        {starts.map((name) => (
          <Line key={`starts ${name}`} mark="starts" words={name} />
        ))}
        {changes.map(({ server, keys }) => (
          <Line key={`changes ${server}`} mark="changes" words={`${server}: ${keys.join(', ')}`} />
        ))}
        {stops.map((name) => (
          <Line key={`stops ${name}`} mark="stops" words={`${name}; what runs may finish`} />
        ))}
        {applies.map((key) => (
          <Line key={`applies ${key}`} mark="applies" words={`${key}, at once`} />
        ))}
        {waits.map((key) => (
          <Line key={`waits ${key}`} mark="waits" words={`${key}: for the next start of the gateway`} />
        ))}
      </ul>
      {notes.map((note) => (
        <p key={note} class="muted">
          {note}
        </p>
      ))}
    </section>
  );
}
