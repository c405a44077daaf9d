// Up, down, home and end lead through a list of links or buttons.
// Called by views with long lists. Promises: the order is that of the page; Tab works as ever.

/** To be set as onKeyDown of the list; `selector` finds what can be walked through. */
export function walk(event: KeyboardEvent & { readonly currentTarget: Element }, selector: string): void {
  const items = [...event.currentTarget.querySelectorAll<HTMLElement>(selector)];
  const at = items.findIndex((item) => item.matches(':focus'));
  if (at < 0) return;
  const targets: Readonly<Record<string, number>> = {
    ArrowDown: at + 1,
    ArrowUp: at - 1,
    Home: 0,
    End: items.length - 1,
  };
  const target = items[targets[event.key] ?? -1];
  if (target === undefined) return;
  event.preventDefault();
  target.focus();
}
