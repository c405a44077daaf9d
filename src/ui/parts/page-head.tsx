// The head of a view: its title, a line about it, and what can be done there.
// Called by views. Promises: one first heading a page.
import type { ComponentChildren } from 'preact';

/** What the head shows. */
export interface PageHeadProps {
  readonly title: string;
  readonly about?: string;
  readonly children?: ComponentChildren;
}

/** Title on one side, actions on the other. */
export function PageHead({ title, about, children }: PageHeadProps) {
  return (
    <header class="page-head">
      <div>
        <h1>{title}</h1>
        {about === undefined ? null : <p class="muted">{about}</p>}
      </div>
      <div class="row">{children}</div>
    </header>
  );
}

/** A field for looking something up; `/` leads to it. */
export function Search(props: {
  readonly label: string;
  readonly value: string;
  readonly onInput: (text: string) => void;
}) {
  return (
    <input
      type="search"
      aria-label={props.label}
      placeholder={props.label}
      value={props.value}
      onInput={(event) => props.onInput(event.currentTarget.value)}
    />
  );
}
