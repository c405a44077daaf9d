// The frame around every view: navigation, state of the stream, theme, help, and the keys that lead everywhere.
// Called by app.tsx. Promises: one main landmark, a link that skips to it; a key never acts while somebody types.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { send } from '../api/client.ts';
import { liveState } from '../live.ts';
import { hrefOf, VIEWS, type ViewName } from '../model/route.ts';
import { firstAnswers, useStore } from '../store.ts';
import { nextChoice, themeChoice } from '../theme.ts';
import { Dialog } from './dialog.tsx';
import { Icon } from './icon.tsx';
import { attempt } from './notice.tsx';
import { StateMark } from './state-mark.tsx';

/** Names of the views as they are shown, and the key that follows `g`. */
export const VIEW_WORDS: Readonly<Record<ViewName, { readonly title: string; readonly key: string }>> = {
  overview: { title: 'Overview', key: 'o' },
  servers: { title: 'Servers', key: 's' },
  tools: { title: 'Tools', key: 't' },
  traffic: { title: 'Live traffic', key: 'l' },
  sessions: { title: 'Sessions', key: 'e' },
  caches: { title: 'Caches', key: 'c' },
  configuration: { title: 'Configuration', key: 'f' },
  audit: { title: 'Audit', key: 'a' },
};

const THEME_ICONS = { system: 'system', light: 'sun', dark: 'moon' } as const;

/** True while keys are meant for an input or a window. */
function isTyping(target: EventTarget | null): boolean {
  if (document.querySelector('dialog[open]') !== null) return true;
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(?:INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

/** Keys of the whole page: `?`, `/`, and `g` with a letter. */
function useKeys(onHelp: () => void): void {
  useEffect(() => {
    let isGoing = false;
    const press = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      const wasGoing = isGoing;
      isGoing = event.key === 'g';
      if (wasGoing) {
        const view = VIEWS.find((name) => VIEW_WORDS[name].key === event.key);
        if (view !== undefined) location.hash = hrefOf(view);
      } else if (event.key === '?') onHelp();
      else if (event.key === '/') {
        const search = document.querySelector<HTMLInputElement>('main input[type=search]');
        if (search === null) return;
        event.preventDefault();
        search.focus();
      }
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, [onHelp]);
}

const KEYS: readonly (readonly [string, string])[] = [
  ['?', 'This list'],
  ['/', 'To the search of this page'],
  ['p', 'Pause and resume the live traffic'],
  ['↑ ↓', 'Through a list'],
  ['Esc', 'Close a window'],
];

function Help({ onClose }: { readonly onClose: () => void }) {
  const rows = [
    ...KEYS,
    ...VIEWS.map((name) => [`g ${VIEW_WORDS[name].key}`, VIEW_WORDS[name].title] as const),
  ];
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="keys">
        {rows.map(([key, words]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{words}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

function ThemeSwitch() {
  const choice = useStore(themeChoice);
  const next = nextChoice(choice);
  return (
    <button
      type="button"
      class="quiet"
      title={`Theme: ${choice}`}
      aria-label={`Theme: ${choice}; change to ${next}`}
      onClick={() => themeChoice.set(next)}
    >
      <Icon name={THEME_ICONS[choice]} />
    </button>
  );
}

/** What the frame is given. */
export interface ShellProps {
  readonly view: ViewName;
  readonly onLogout: () => void;
  readonly children: ComponentChildren;
}

function Navigation({ view }: { readonly view: ViewName }) {
  const element = useRef<HTMLElement>(null);
  useEffect(() => {
    // on a phone the row of views is wider than the screen
    element.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [view]);
  return (
    <nav aria-label="Views" class="nav" ref={element}>
      {VIEWS.map((name) => (
        <a key={name} href={hrefOf(name)} aria-current={name === view ? 'page' : undefined}>
          <Icon name={name} />
          <span>{VIEW_WORDS[name].title}</span>
        </a>
      ))}
    </nav>
  );
}

/** The frame. */
export function Shell({ view, onLogout, children }: ShellProps) {
  const [isHelp, setHelp] = useState(false);
  const stream = useStore(liveState);
  const isBusy = useStore(firstAnswers) > 0;
  const [showHelp] = useState(() => () => setHelp(true));
  useKeys(showHelp);
  const logout = (): void => {
    void attempt(() => send('/logout', { method: 'POST' }), 'Logged out').then(
      (isDone) => isDone && onLogout(),
    );
  };
  return (
    <div class="shell">
      <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
        Skip to the content
      </button>
      <header class="top">
        <a class="brand" href={hrefOf('overview')}>
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="7" />
            <path d="M6 12q5-4 10 0t10 0M6 20q5-4 10 0t10 0" />
          </svg>
          Sluice
        </a>
        <span class="stream" title="The stream of news from the gateway">
          <StateMark state={stream} />
        </span>
        <div class="tools">
          <ThemeSwitch />
          <button type="button" class="quiet" aria-label="Keys" title="Keys (?)" onClick={showHelp}>
            <Icon name="help" />
          </button>
          <button type="button" class="quiet" aria-label="Log out" title="Log out" onClick={logout}>
            <Icon name="out" />
          </button>
        </div>
      </header>
      <Navigation view={view} />
      <main id="main" tabIndex={-1} aria-busy={isBusy}>
        {children}
      </main>
      {isHelp ? <Help onClose={() => setHelp(false)} /> : null}
    </div>
  );
}
