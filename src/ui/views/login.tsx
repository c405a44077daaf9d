// The door: asks for the admin token when the page's address brought none.
// Called by app.tsx. Promises: the token goes to the gateway and nowhere else; it is not kept on the page.
import { useState } from 'preact/hooks';
import { send, wordsOf } from '../api/client.ts';
import { FaultLine } from '../parts/notice.tsx';

/** Shows the token to the gateway, which answers with a cookie. Throws ApiFault when it is the wrong one. */
export async function login(token: string): Promise<void> {
  await send('/login', { method: 'POST', body: { token } });
}

/** The form. `fault` says why it is shown again. */
export function Login({ fault, onDone }: { readonly fault: string | null; readonly onDone: () => void }) {
  const [token, setToken] = useState('');
  const [refused, setRefused] = useState<string | null>(fault);
  const [isBusy, setBusy] = useState(false);
  const submit = (event: Event): void => {
    event.preventDefault();
    setBusy(true);
    login(token.trim()).then(onDone, (thrown: unknown) => {
      setBusy(false);
      setRefused(wordsOf(thrown));
    });
  };
  return (
    <main class="login" id="main">
      <form class="card" onSubmit={submit}>
        <h1>Sluice</h1>
        <p class="muted">
          The gateway printed a link with its token when it was started for the first time. The token is also
          in <code>admin.token</code> in its data folder.
        </p>
        <div class="field">
          <label for="token">Admin token</label>
          <input
            id="token"
            type="password"
            autocomplete="current-password"
            required
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </div>
        <FaultLine fault={refused} />
        <button type="submit" class="main" disabled={isBusy}>
          Log in
        </button>
      </form>
    </main>
  );
}
