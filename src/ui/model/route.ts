// Where the page is: a view and what it shows, in the part of the address behind `#`.
// Called by app.tsx and whoever makes links. Promises: pure; every address gives a place; a place's address gives it back.

/** Names of the views, in the order of the navigation. */
export const VIEWS = [
  'overview',
  'servers',
  'tools',
  'traffic',
  'sessions',
  'caches',
  'configuration',
  'audit',
] as const;

/** Name of a view. */
export type ViewName = (typeof VIEWS)[number];

/** A place: a view and the parts of the path behind it. */
export interface Place {
  readonly view: ViewName;
  readonly parts: readonly string[];
}

function isView(name: string): name is ViewName {
  // a list of literals asks for one of them
  return (VIEWS as readonly string[]).includes(name);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The place that `#/…` names; the overview for what names none. */
export function placeOf(hash: string): Place {
  const [name = '', ...parts] = hash.replace(/^#\/?/, '').split('/').map(decoded);
  return isView(name)
    ? { view: name, parts: parts.filter((part) => part !== '') }
    : { view: 'overview', parts: [] };
}

/** The address of a place. */
export function hrefOf(view: ViewName, ...parts: readonly string[]): string {
  return `#/${[view, ...parts].map(encodeURIComponent).join('/')}`;
}

/** The token in an address such as `#token=…`; null without. */
export function tokenIn(hash: string): string | null {
  const match = /^#token=([^&]+)$/.exec(hash);
  return match?.[1] === undefined ? null : decoded(match[1]);
}
