// Light or dark: what the system says, unless the reader chose.
// Called by main.tsx, parts/shell.tsx and charts (which draw on canvases and must know). Promises: the choice is kept in this browser; without storage it lasts as long as the page.
import { createStore } from './store.ts';

/** What the reader chose. */
export type ThemeChoice = 'system' | 'light' | 'dark';

const KEY = 'sluice-theme';
const dark = matchMedia('(prefers-color-scheme: dark)');

function stored(): ThemeChoice {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : 'system';
  } catch {
    return 'system';
  }
}

/** The reader's choice. */
export const themeChoice = createStore<ThemeChoice>(stored());
/** What is shown. */
export const theme = createStore<'light' | 'dark'>('light');

function show(): void {
  const choice = themeChoice.get();
  const shown = choice === 'system' ? (dark.matches ? 'dark' : 'light') : choice;
  document.documentElement.dataset.theme = shown;
  theme.set(shown);
}

/** Follows the system and the reader from now on. */
export function followTheme(): void {
  dark.addEventListener('change', show);
  themeChoice.watch(() => {
    try {
      localStorage.setItem(KEY, themeChoice.get());
    } catch {
      // no storage: the choice lasts as long as the page
    }
    show();
  });
  show();
}

/** The next choice, for a switch with three places. */
export function nextChoice(choice: ThemeChoice): ThemeChoice {
  return choice === 'system' ? 'light' : choice === 'light' ? 'dark' : 'system';
}
