// Small drawings that go with words; drawn here, so that nothing is loaded for them.
// Called by parts and views. Promises: decoration only: a screen reader hears the words beside it.

const PATHS = {
  overview: 'M3 13h4l3-8 4 14 3-6h4',
  servers: 'M4 5h16v5H4zM4 14h16v5H4zM7.5 7.5h.01M7.5 16.5h.01',
  tools: 'M14 6a4 4 0 0 0 5 5l-8 8a2.5 2.5 0 0 1-4-4l8-8a4 4 0 0 1 5-5l-3 3 2 2 3-3',
  traffic: 'M4 8h14l-4-4M20 16H6l4 4',
  sessions:
    'M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2.5 19a5.5 5.5 0 0 1 11 0M16 11a2.5 2.5 0 1 0 0-5M16 14a5 5 0 0 1 5.5 5',
  caches:
    'M4 6c0-1.7 3.6-3 8-3s8 1.300 8 3-3.600 3-8 3-8-1.300-8-3zM4 6v12c0 1.700 3.600 3 8 3s8-1.300 8-3V6M4 12c0 1.700 3.600 3 8 3s8-1.300 8-3',
  configuration: 'M4 7h9M17 7h3M15 5v4M4 17h3M11 17h9M9 15v4M4 12h14M20 12h.01',
  audit: 'M6 3h9l4 4v14H6zM14 3v5h5M9 13h7M9 17h7',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l5 5',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2',
  moon: 'M20 14A8.500 8.500 0 0 1 10 4a8.500 8.500 0 1 0 10 10z',
  system: 'M3 5h18v11H3zM9 20h6M12 16v4',
  help: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9.500 9.500a2.500 2.500 0 1 1 3.500 2.300c-.7.3-1 .8-1 1.700M12 17h.01',
  check: 'M4 12.500l5 5L20 6.500',
  warn: 'M12 3.500 22 20.500H2zM12 10v5M12 18h.01',
  copy: 'M9 9h11v11H9zM15 5H4v11',
  out: 'M14 4h6v16h-6M10 8l-4 4 4 4M6 12h9',
  plus: 'M12 5v14M5 12h14',
  back: 'M15 5l-7 7 7 7',
  pause: 'M8 5v14M16 5v14',
  play: 'M7 5l12 7-12 7z',
} as const;

/** Name of a drawing. */
export type IconName = keyof typeof PATHS;

/** A drawing of the size of a line of text. */
export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
