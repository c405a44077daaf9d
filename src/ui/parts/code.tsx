// Text as machines write it: JSON, YAML, commands.
// Called by views. Promises: keeps its line ends, scrolls inside itself, can be reached and scrolled by keyboard.

/** A block of text under a name. */
export function Code({ text, label }: { readonly text: string; readonly label: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reached by keyboard
    <section class="code scroll" tabIndex={0} aria-label={label}>
      <pre>{text}</pre>
    </section>
  );
}

/** A value of JSON under a name. */
export function JsonCode({ value, label }: { readonly value: unknown; readonly label: string }) {
  return <Code text={JSON.stringify(value, null, 2) ?? ''} label={label} />;
}
