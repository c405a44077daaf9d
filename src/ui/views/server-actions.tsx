// What can be done with one server: change, switch off and on, restart, remove.
// Called by views/server-page.tsx. Promises: what cannot be taken back shows its plan and asks first; entries of the file can only be restarted.
import { useEffect, useState } from 'preact/hooks';
import { ask, pathOf, wordsOf } from '../api/client.ts';
import type { Plan, Server } from '../api/types.ts';
import { hrefOf } from '../model/route.ts';
import { Confirm } from '../parts/dialog.tsx';
import { attempt, FaultLine } from '../parts/notice.tsx';
import { PlanView } from '../parts/plan-view.tsx';
import { useLoaded } from '../store.ts';
import { ServerForm } from './server-form.tsx';

interface ActionsProps {
  readonly server: Server;
  readonly again: () => void;
  /** Told true before the server is removed, false when that failed: whoever asks for it waits meanwhile. */
  readonly hold: (isHeld: boolean) => void;
}

interface RemoveProps extends Pick<ActionsProps, 'server' | 'hold'> {
  readonly onClose: () => void;
}

function Remove({ server, hold, onClose }: RemoveProps) {
  const [isBusy, setBusy] = useState(false);
  const [fault, setFault] = useState<string | null>(null);
  const path = (plan: string | null): string => pathOf(['servers', server.name], { plan });
  const trial = useLoaded((signal) => ask<{ plan: Plan }>(path('1'), { method: 'DELETE', signal }), {
    on: [],
  });
  const remove = (): void => {
    hold(true);
    setBusy(true);
  };
  // After the drawing in which the page stops asking: it would ask for a server that is no more.
  useEffect(() => {
    if (!isBusy) return;
    ask(path(null), { method: 'DELETE' }).then(
      () => {
        location.hash = hrefOf('servers');
      },
      (thrown: unknown) => {
        hold(false);
        setBusy(false);
        setFault(wordsOf(thrown));
      },
    );
  }, [isBusy]);
  return (
    <Confirm title={`Remove ${server.name}?`} verb="Remove" isBusy={isBusy} onYes={remove} onNo={onClose}>
      <p>Its settings are taken out of the registry. The audit keeps them.</p>
      <FaultLine fault={fault ?? trial.fault} />
      {trial.answer === null ? null : <PlanView plan={trial.answer.plan} />}
    </Confirm>
  );
}

/** The buttons. */
export function ServerActions({ server, again, hold }: ActionsProps) {
  const [open, setOpen] = useState<'edit' | 'remove' | null>(null);
  const { name, origin } = server;
  const act = (verb: string, done: string): void => {
    void attempt(() => ask(pathOf(['servers', name, verb]), { method: 'POST' }), done).then(again);
  };
  const isOurs = origin === 'registry';
  return (
    <>
      <button type="button" onClick={() => act('restart', `${name} starts afresh`)}>
        Restart
      </button>
      {isOurs ? (
        <>
          <button
            type="button"
            onClick={() => act(server.isEnabled ? 'disable' : 'enable', `${name} is switched`)}
          >
            {server.isEnabled ? 'Disable' : 'Enable'}
          </button>
          <button type="button" onClick={() => setOpen('edit')}>
            Edit
          </button>
          <button type="button" class="danger" onClick={() => setOpen('remove')}>
            Remove
          </button>
        </>
      ) : null}
      {open === 'remove' ? <Remove server={server} hold={hold} onClose={() => setOpen(null)} /> : null}
      {open === 'edit' ? (
        <ServerForm
          server={server}
          onClose={() => setOpen(null)}
          onDone={() => {
            setOpen(null);
            again();
          }}
        />
      ) : null}
    </>
  );
}
