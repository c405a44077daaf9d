// The whole page: who is logged in, where the reader is, and which view shows it.
// Called by main.tsx. Promises: a token in the address is used once and taken out of it; without a login nothing but the door is shown.
import { useEffect, useState } from 'preact/hooks';
import { ask, whenLoggedOut, wordsOf } from './api/client.ts';
import { openLive } from './live.ts';
import { type Place, placeOf, tokenIn } from './model/route.ts';
import { Notes } from './parts/notice.tsx';
import { Shell, VIEW_WORDS } from './parts/shell.tsx';
import { Audit } from './views/audit.tsx';
import { Caches } from './views/caches.tsx';
import { Configuration } from './views/configuration.tsx';
import { Login, login } from './views/login.tsx';
import { Overview } from './views/overview.tsx';
import { ServerPage } from './views/server-page.tsx';
import { Servers } from './views/servers.tsx';
import { Sessions } from './views/sessions.tsx';
import { Tools } from './views/tools.tsx';
import { Traffic } from './views/traffic.tsx';

type Door = 'asking' | 'in' | 'out';

/** Where the reader is, following the address. */
function usePlace(): Place {
  const [place, setPlace] = useState(() => placeOf(location.hash));
  useEffect(() => {
    const follow = (): void => {
      const next = placeOf(location.hash);
      setPlace(next);
      document.title = `${VIEW_WORDS[next.view].title} · Sluice`;
    };
    follow();
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  return place;
}

/** Lets the reader in: by the token of the address, or by the cookie of an earlier visit. */
function useDoor() {
  const [door, setDoor] = useState<Door>('asking');
  const [fault, setFault] = useState<string | null>(null);
  useEffect(() => {
    whenLoggedOut(() => setDoor('out'));
    const token = tokenIn(location.hash);
    // out of the address and of the history, whether it is good or not
    if (token !== null) history.replaceState(null, '', location.pathname);
    const entry = token === null ? ask('/status') : login(token);
    entry.then(
      () => setDoor('in'),
      (thrown: unknown) => {
        setFault(token === null ? null : wordsOf(thrown));
        setDoor('out');
      },
    );
  }, []);
  return { door, fault, setDoor };
}

function View({ place }: { readonly place: Place }) {
  const [first = null, second = null] = place.parts;
  switch (place.view) {
    case 'overview':
      return <Overview />;
    case 'servers':
      return first === null ? <Servers /> : <ServerPage key={first} name={first} />;
    case 'tools':
      return <Tools server={first} name={second} />;
    case 'traffic':
      return <Traffic openKey={first} />;
    case 'sessions':
      return <Sessions />;
    case 'caches':
      return <Caches />;
    case 'configuration':
      return <Configuration />;
    case 'audit':
      return <Audit />;
  }
}

/** The page. */
export function App() {
  const { door, fault, setDoor } = useDoor();
  const place = usePlace();
  useEffect(() => (door === 'in' ? openLive() : undefined), [door]);
  if (door === 'asking') return <p class="asking">One moment…</p>;
  return (
    <>
      {door === 'out' ? (
        <Login fault={fault} onDone={() => setDoor('in')} />
      ) : (
        <Shell view={place.view} onLogout={() => setDoor('out')}>
          <View place={place} />
        </Shell>
      )}
      <Notes />
    </>
  );
}
