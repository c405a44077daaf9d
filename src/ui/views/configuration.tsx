// What the gateway runs with, what a reload would change, and servers in and out as text.
// Called by app.tsx. Promises: nothing changes before its plan was shown; secrets are not shown.
import { useState } from 'preact/hooks';
import { ask, pathOf, send, wordsOf } from '../api/client.ts';
import type { Plan, Status } from '../api/types.ts';
import { bytes, duration } from '../model/format.ts';
import { Code } from '../parts/code.tsx';
import { CopyButton } from '../parts/copy-button.tsx';
import { Confirm, Dialog } from '../parts/dialog.tsx';
import { attempt, FaultLine, say } from '../parts/notice.tsx';
import { PageHead } from '../parts/page-head.tsx';
import { PlanView } from '../parts/plan-view.tsx';
import { StateMark } from '../parts/state-mark.tsx';
import { useLoaded } from '../store.ts';

const POLL_MS = 5000;

function Reload({ onDone }: { readonly onDone: () => void }) {
  const [plan, setPlan] = useState<Plan | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const load = async (isTrial: boolean): Promise<void> => {
    setFault(null);
    try {
      const answer = await ask<{ plan: Plan }>(pathOf(['reload'], { plan: isTrial ? '1' : null }), {
        method: 'POST',
      });
      setPlan(isTrial ? answer.plan : null);
      if (isTrial) return;
      say('The configuration was reloaded');
      onDone();
    } catch (thrown) {
      setPlan(null);
      setFault(wordsOf(thrown));
    }
  };
  return (
    <section class="card" aria-labelledby="reload">
      <h2 id="reload">Reload</h2>
      <p class="muted">Reads the file again. What runs goes on; a file with a mistake changes nothing.</p>
      <FaultLine fault={fault} />
      {plan === null ? null : <PlanView plan={plan} />}
      <div class="row">
        <button type="button" class={plan === null ? 'main' : ''} onClick={() => void load(true)}>
          Show the plan
        </button>
        {plan === null ? null : (
          <button type="button" class="main" onClick={() => void load(false)}>
            Apply
          </button>
        )}
      </div>
    </section>
  );
}

interface Imported {
  readonly plan: Plan;
  readonly added: readonly string[];
  readonly skipped: readonly { readonly name: string; readonly why: string }[];
}

function Import({ onClose }: { readonly onClose: () => void }) {
  const [text, setText] = useState('');
  const [trial, setTrial] = useState<Imported | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const load = async (event: Event): Promise<void> => {
    event.preventDefault();
    setFault(null);
    const contentType = text.trimStart().startsWith('{') ? 'application/json' : 'application/yaml';
    const isTrial = trial === null;
    try {
      const made = await ask<Imported>(pathOf(['import'], { plan: isTrial ? '1' : null }), {
        method: 'POST',
        text,
        contentType,
      });
      if (isTrial) return setTrial(made);
      say(`Added: ${made.added.join(', ')}`);
      onClose();
    } catch (thrown) {
      setFault(wordsOf(thrown));
    }
  };
  return (
    <Dialog title="Import servers" onClose={onClose}>
      <form onSubmit={(event) => void load(event)}>
        <div class="dialog-body">
          <div class="field">
            <label for="import-text">YAML with servers, or the mcpServers JSON of an editor</label>
            <textarea
              id="import-text"
              class="code"
              rows={12}
              required
              spellcheck={false}
              value={text}
              onInput={(event) => {
                setText(event.currentTarget.value);
                setTrial(null);
              }}
            />
          </div>
          <FaultLine fault={fault} />
          {trial === null ? null : <PlanView plan={trial.plan} />}
          {(trial?.skipped ?? []).map(({ name, why }) => (
            <p key={name} class="muted">
              {name} is left out: {why}
            </p>
          ))}
        </div>
        <footer class="dialog-foot">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="main">
            {trial === null ? 'Show the plan' : 'Import'}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

function Export({ onClose }: { readonly onClose: () => void }) {
  const [format, setFormat] = useState('yaml');
  const { answer, fault } = useLoaded(
    async (signal) => (await send(pathOf(['export'], { format, secrets: '0' }), { signal })).text(),
    { on: [format] },
  );
  return (
    <Dialog title="Export servers" onClose={onClose}>
      <div class="dialog-body">
        <label class="inline">
          Format
          <select value={format} onChange={(event) => setFormat(event.currentTarget.value)}>
            <option value="yaml">YAML</option>
            <option value="mcpServers">mcpServers JSON</option>
          </select>
        </label>
        <FaultLine fault={fault} />
        <Code text={answer ?? ''} label="Servers" />
        <CopyButton label="Copy" text={() => answer ?? ''} />
      </div>
    </Dialog>
  );
}

function About({ status }: { readonly status: Status }) {
  const { scanner } = status;
  const facts: readonly (readonly [string, string])[] = [
    ['Version', status.version],
    ['Runtime', status.runtime],
    ['Process', String(status.pid)],
    ['Up for', duration(status.uptimeMs)],
    ['Clients', status.url],
    ['Scanner', [scanner.name, scanner.kernel, scanner.reason].filter((part) => part !== '').join(', ')],
    ['Memory', `${bytes(status.memory.rssBytes)}, ${bytes(status.memory.sharedBytes)} of it shared`],
    ['Processor', duration(status.cpu.userMs + status.cpu.systemMs)],
    ['Changes since the start', String(status.epoch)],
  ];
  return (
    <section class="card" aria-labelledby="about">
      <h2 id="about">This gateway</h2>
      <dl class="facts">
        {facts.map(([words, value]) => (
          <div key={words}>
            <dt>{words}</dt>
            <dd>{value}</dd>
          </div>
        ))}
        <div>
          <dt>Registry</dt>
          <dd>
            <StateMark state={status.registry.state} /> {status.registry.path ?? status.registry.detail}
          </dd>
        </div>
        {status.readiness.map(({ check, ok, detail }) => (
          <div key={check}>
            <dt>{check}</dt>
            <dd>
              <StateMark state={ok ? 'ok' : 'failed'} /> {detail}
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Drain() {
  const [isAsking, setAsking] = useState(false);
  const drain = (): void => {
    setAsking(false);
    void attempt(() => send('/drain', { method: 'POST' }), 'The gateway drains and then ends');
  };
  return (
    <>
      <button type="button" class="danger" onClick={() => setAsking(true)}>
        Drain and stop
      </button>
      {isAsking ? (
        <Confirm title="Stop the gateway?" verb="Drain and stop" onYes={drain} onNo={() => setAsking(false)}>
          <p>It takes no new work, lets what runs finish, and ends. This page ends with it.</p>
        </Confirm>
      ) : null}
    </>
  );
}

/** The view. */
export function Configuration() {
  const [open, setOpen] = useState<'import' | 'export' | null>(null);
  const status = useLoaded((signal) => ask<Status>('/status', { signal }), { on: [], everyMs: POLL_MS });
  const config = useLoaded((signal) => ask<{ text: string; path: string | null }>('/config', { signal }), {
    on: [],
  });
  return (
    <>
      <PageHead title="Configuration" about={status.answer?.configPath ?? 'No configuration file'}>
        <button type="button" onClick={() => setOpen('import')}>
          Import
        </button>
        <button type="button" onClick={() => setOpen('export')}>
          Export
        </button>
        <Drain />
      </PageHead>
      <FaultLine fault={status.fault ?? config.fault} />
      <div class="halves">
        <Reload onDone={config.again} />
        {status.answer === null ? null : <About status={status.answer} />}
      </div>
      <section class="card" aria-labelledby="effective">
        <h2 id="effective">In force</h2>
        <Code text={config.answer?.text ?? ''} label="Configuration in force" />
        <CopyButton label="Copy" text={() => config.answer?.text ?? ''} />
      </section>
      {open === 'import' ? <Import onClose={() => setOpen(null)} /> : null}
      {open === 'export' ? <Export onClose={() => setOpen(null)} /> : null}
    </>
  );
}
