// Adds a server, or changes one: first the plan, then the change.
// Called by views/servers.tsx and views/server-page.tsx. Promises: nothing changes before the plan was shown; a change that somebody else made meanwhile is not overwritten.
import { useState } from 'preact/hooks';
import { ApiFault, ask, pathOf, wordsOf } from '../api/client.ts';
import type { Plan, Server } from '../api/types.ts';
import { draftFor, type Kind, type SettingsDraft, settingsOf } from '../model/settings-form.ts';
import { Dialog } from '../parts/dialog.tsx';
import { FaultLine, say } from '../parts/notice.tsx';
import { PlanView } from '../parts/plan-view.tsx';

/** What the form is given. */
export interface ServerFormProps {
  /** null: a new one. */
  readonly server: Server | null;
  readonly onClose: () => void;
  readonly onDone: (name: string) => void;
}

const KINDS: readonly (readonly [Kind, string])[] = [
  ['http', 'Over HTTP'],
  ['stdio', 'A program (stdio)'],
  ['json', 'All settings (JSON)'],
];

interface InputsProps {
  readonly draft: SettingsDraft;
  readonly isNew: boolean;
  readonly change: (part: Partial<SettingsDraft>) => void;
}

function HttpInputs({ draft, change }: InputsProps) {
  return (
    <>
      <div class="field">
        <label for="server-url">Address</label>
        <input
          id="server-url"
          type="url"
          required
          placeholder="https://example.org/mcp"
          value={draft.url}
          onInput={(event) => change({ url: event.currentTarget.value })}
        />
      </div>
      <div class="field">
        <label for="server-headers">Headers</label>
        <textarea
          id="server-headers"
          class="code"
          rows={3}
          placeholder="Authorization: Bearer …"
          value={draft.headers}
          onInput={(event) => change({ headers: event.currentTarget.value })}
        />
        <div class="about">One a line. A value shown in dots is kept.</div>
      </div>
    </>
  );
}

function StdioInputs({ draft, change }: InputsProps) {
  return (
    <>
      <div class="field">
        <label for="server-command">Command</label>
        <input
          id="server-command"
          class="code"
          required
          autocomplete="off"
          placeholder="npx -y @modelcontextprotocol/server-filesystem ."
          value={draft.command}
          onInput={(event) => change({ command: event.currentTarget.value })}
        />
        <div class="about">The gateway starts it, on its own machine, with its own rights.</div>
      </div>
      <div class="field">
        <label for="server-env">Environment</label>
        <textarea
          id="server-env"
          class="code"
          rows={3}
          placeholder="NAME=value"
          value={draft.env}
          onInput={(event) => change({ env: event.currentTarget.value })}
        />
      </div>
    </>
  );
}

function JsonInputs({ draft, change }: InputsProps) {
  return (
    <div class="field">
      <label for="server-json">Settings</label>
      <textarea
        id="server-json"
        class="code"
        rows={14}
        spellcheck={false}
        value={draft.json}
        onInput={(event) => change({ json: event.currentTarget.value })}
      />
      <div class="about">The same keys that a server has in the configuration file.</div>
    </div>
  );
}

function Inputs(props: InputsProps) {
  const { draft, isNew, change } = props;
  const choose = (kind: Kind): void => {
    // what was typed so far goes along into the JSON
    const made = draft.kind === 'json' ? null : settingsOf(draft);
    const json = made !== null && 'settings' in made ? JSON.stringify(made.settings, null, 2) : draft.json;
    change({ kind, json });
  };
  return (
    <>
      {isNew ? (
        <div class="field">
          <label for="server-name">Name</label>
          <input
            id="server-name"
            required
            autocomplete="off"
            pattern="[A-Za-z0-9][A-Za-z0-9_.\-]*"
            placeholder="search"
            value={draft.name}
            onInput={(event) => change({ name: event.currentTarget.value })}
          />
          <div class="about">Clients reach it at /mcp/{draft.name === '' ? 'NAME' : draft.name}.</div>
        </div>
      ) : null}
      <fieldset class="group choice">
        <legend>How it is reached</legend>
        {KINDS.map(([kind, words]) => (
          <label key={kind} class="check">
            <input type="radio" name="kind" checked={draft.kind === kind} onChange={() => choose(kind)} />
            {words}
          </label>
        ))}
      </fieldset>
      {draft.kind === 'http' ? <HttpInputs {...props} /> : null}
      {draft.kind === 'stdio' ? <StdioInputs {...props} /> : null}
      {draft.kind === 'json' ? <JsonInputs {...props} /> : null}
    </>
  );
}

/** Sends the settings: `isTrial` only asks for the plan. */
async function put(server: Server | null, draft: SettingsDraft, isTrial: boolean): Promise<Plan> {
  const made = settingsOf(draft);
  // shown in the form like a refusal of the gateway
  if ('fault' in made) throw new ApiFault(0, made.fault);
  const query = { plan: isTrial ? '1' : null };
  const answer =
    server === null
      ? ask<{ plan: Plan }>(pathOf(['servers'], query), {
          method: 'POST',
          body: { name: draft.name, settings: made.settings },
        })
      : ask<{ plan: Plan }>(pathOf(['servers', server.name], query), {
          method: 'PUT',
          body: made.settings,
          headers: server.version === null ? {} : { 'if-match': `"v${server.version}"` },
        });
  return (await answer).plan;
}

/** The form in its window. */
export function ServerForm({ server, onClose, onDone }: ServerFormProps) {
  const [draft, setDraft] = useState(() => draftFor(server?.name ?? '', server?.settings ?? null));
  const [plan, setPlan] = useState<Plan | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const send = async (isTrial: boolean): Promise<void> => {
    setBusy(true);
    setFault(null);
    try {
      const made = await put(server, draft, isTrial);
      if (isTrial) setPlan(made);
      else {
        say(server === null ? `${draft.name} was added` : `${draft.name} was changed`);
        onDone(draft.name);
      }
    } catch (thrown) {
      setPlan(null);
      setFault(wordsOf(thrown));
    }
    setBusy(false);
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    void send(plan === null);
  };
  return (
    <Dialog title={server === null ? 'Add a server' : `Change ${server.name}`} onClose={onClose}>
      <form onSubmit={submit}>
        <div class="dialog-body">
          <Inputs
            draft={draft}
            isNew={server === null}
            change={(part) => {
              setDraft({ ...draft, ...part });
              setPlan(null);
            }}
          />
          <FaultLine fault={fault} />
          {plan === null ? null : <PlanView plan={plan} />}
        </div>
        <footer class="dialog-foot">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="main" disabled={isBusy}>
            {plan === null ? 'Show the plan' : 'Apply'}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
