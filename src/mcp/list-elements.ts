// The elements of a server's list, found once however many pages they came in.
// Called by merge.ts and proxy/. Promises: pure; elements stay views of their pages; a list that is asked for again is not read again.
import { ENVELOPE } from '../scan/contract.ts';
import { type Message, span } from './envelope.ts';
import { eachElement, isArray, isObject, member, readString } from './json.ts';
import type { ListShape } from './rewrite.ts';

/** One element: where it lies in its page, and what its server calls it. */
export interface ListElement {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** Its name or URI; null when it has none. */
  readonly key: string | null;
}

const FOUND = new WeakMap<readonly Message[], readonly ListElement[]>();

/** The elements of all pages, in order. The same pages are always read in the same shape. */
export function elementsOf(pages: readonly Message[], shape: ListShape): readonly ListElement[] {
  const found = FOUND.get(pages);
  if (found !== undefined) return found;
  const elements: ListElement[] = [];
  for (const page of pages) collect(page, shape, elements);
  FOUND.set(pages, elements);
  return elements;
}

function collect({ bytes, envelope }: Message, shape: ListShape, elements: ListElement[]): void {
  const result = span(envelope, ENVELOPE.result);
  if (result === null || !isObject(bytes, result.start)) return;
  const items = member(bytes, result.start, shape.items);
  if (items === null || !isArray(bytes, items.start)) return;
  eachElement(bytes, items.start, (start, end) => {
    const key = isObject(bytes, start) ? member(bytes, start, shape.key) : null;
    elements.push({ bytes, start, end, key: key === null ? null : readString(bytes, key.start, key.end) });
  });
}
