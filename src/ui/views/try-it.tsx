// Trying a tool: the form of its arguments, the call through the gateway's own data path, questions of the server, the result.
// Called by views/tools.tsx. Promises: one call at a time; it can be given up; what is sent can be had for curl.
import { useEffect, useRef, useState } from 'preact/hooks';
import { ask, send, wordsOf } from '../api/client.ts';
import type { Json, Status, Tool } from '../api/types.ts';
import { after, begin, type Run, roundOf } from '../model/call-run.ts';
import { curlOf } from '../model/curl.ts';
import { type Draft, draftOf, type Fault, madeOf } from '../model/field-values.ts';
import { duration } from '../model/format.ts';
import { callMessage, type Round, readMessages, readReply, type ToolCall } from '../model/mcp-call.ts';
import { type Field, fieldsOf, isObject, type JsonObject } from '../model/schema-fields.ts';
import { CopyButton } from '../parts/copy-button.tsx';
import { FaultLine } from '../parts/notice.tsx';
import { Questions } from '../parts/questions.tsx';
import { FieldInput, ObjectFields } from '../parts/schema-form.tsx';
import { StateMark } from '../parts/state-mark.tsx';
import { ToolResult } from '../parts/tool-result.tsx';
import { useLoaded } from '../store.ts';

/** What stands in the form: inputs, or the arguments as JSON. */
interface ArgumentsDraft {
  readonly isRaw: boolean;
  readonly draft: Draft;
  readonly raw: string;
}

/** The id of the next request: unique on this page. */
let lastId = 0;

function schemaOf(tool: Tool): Json {
  return isObject(tool.inputSchema) ? tool.inputSchema : { type: 'object' };
}

/** The gateway writes the name's header itself. */
function relayed(headers: Readonly<Record<string, string>>): Record<string, string> {
  const { 'Mcp-Name': _, ...rest } = headers;
  return rest;
}

/** Runs calls of one tool, and keeps how the last one stands. */
function useRun(server: string) {
  const [run, setRun] = useState<Run | null>(null);
  const gaveUp = useRef<AbortController | null>(null);
  useEffect(() => () => gaveUp.current?.abort(), []);
  const round = async (from: Run, given: Round | null): Promise<void> => {
    const control = new AbortController();
    gaveUp.current = control;
    let now: Run = { ...from, state: 'running', questions: [] };
    setRun(now);
    const startMs = performance.now();
    lastId += 1;
    const { headers, body } = callMessage(from.call, `dashboard-${lastId}`, given);
    const step = (message: Json): void => {
      const reply = readReply(message);
      if (reply === null) return;
      now = after(now, reply, performance.now() - startMs);
      setRun(now);
    };
    try {
      const path = `/mcp/${encodeURIComponent(server)}`;
      const how = { headers: relayed(headers), text: body, signal: control.signal, isRelayed: true };
      const response = await send(path, { method: 'POST', ...how });
      await readMessages(response, step);
      if (now.state === 'running')
        setRun({ ...now, state: 'failed', fault: `The reply (status ${response.status}) holds no result` });
      // a server that only wants to be asked again is
      if (now.state === 'asking' && now.questions.length === 0) await round(now, roundOf(now, {}));
    } catch (thrown) {
      const isOurs = control.signal.aborted;
      setRun({
        ...now,
        state: isOurs ? 'given up' : 'failed',
        questions: [],
        fault: isOurs ? null : wordsOf(thrown),
      });
    }
  };
  return {
    run,
    start: (call: ToolCall) => void round(begin(call), null),
    answer: (responses: JsonObject) => void (run !== null && round(run, roundOf(run, responses))),
    giveUp: () => gaveUp.current?.abort(),
  };
}

interface FormProps {
  readonly field: Field;
  readonly value: ArgumentsDraft;
  readonly faults: readonly Fault[];
  readonly onChange: (value: ArgumentsDraft) => void;
}

function Arguments({ field, value, faults, onChange }: FormProps) {
  const inputs = {
    draft: value.draft,
    path: '',
    faults,
    onChange: (draft: Draft) => onChange({ ...value, draft }),
  };
  if (value.isRaw) {
    const raw: Field = {
      kind: 'json',
      key: '',
      label: 'Arguments',
      description: '',
      isRequired: true,
      initial: undefined,
    };
    return (
      <FieldInput
        field={raw}
        draft={value.raw}
        path=""
        faults={faults}
        onChange={(draft) => onChange({ ...value, raw: String(draft) })}
      />
    );
  }
  if (field.kind !== 'object') return <FieldInput field={field} {...inputs} />;
  return field.fields.length === 0 ? (
    <p class="muted">It takes no arguments.</p>
  ) : (
    <ObjectFields field={field} {...inputs} />
  );
}

/** The arguments that stand in the form, whichever way. */
function made(field: Field, value: ArgumentsDraft) {
  if (!value.isRaw) return madeOf(field, value.draft);
  return madeOf(
    { kind: 'json', key: '', label: '', description: '', isRequired: true, initial: undefined },
    value.raw,
  );
}

/** From inputs to JSON and back, with what stands there. */
function turned(field: Field, value: ArgumentsDraft): ArgumentsDraft {
  const now = made(field, value).value;
  if (!value.isRaw) return { ...value, isRaw: true, raw: JSON.stringify(now ?? {}, null, 2) };
  return { ...value, isRaw: false, draft: now === undefined ? value.draft : draftOf(field, now) };
}

function Outcome({
  run,
  onAnswer,
}: {
  readonly run: Run;
  readonly onAnswer: (responses: JsonObject) => void;
}) {
  const tone =
    run.state === 'done'
      ? run.result?.isError === true
        ? 'bad'
        : 'good'
      : run.state === 'failed'
        ? 'bad'
        : 'idle';
  return (
    <section class="card outcome" aria-label="Outcome" aria-live="polite">
      <p class="row">
        <StateMark state={run.state} tone={tone} />
        <span class="muted">{duration(run.tookMs)} through the gateway</span>
      </p>
      <ol class="plain lines steps">
        {run.steps.map((step, at) => (
          <li key={at}>
            {step.words}{' '}
            {step.tookMs === null ? null : <span class="muted">after {duration(step.tookMs)}</span>}
          </li>
        ))}
      </ol>
      {run.state === 'asking' && run.questions.length > 0 ? (
        <Questions key={run.steps.length} questions={run.questions} isBusy={false} onAnswer={onAnswer} />
      ) : null}
      <FaultLine fault={run.fault} />
      {run.result === null ? null : <ToolResult result={run.result} />}
    </section>
  );
}

/** The form, and what came of it. */
export function TryIt({ tool }: { readonly tool: Tool }) {
  const schema = schemaOf(tool);
  const [field] = useState(() => fieldsOf(schema));
  const [value, setValue] = useState<ArgumentsDraft>(() => ({
    isRaw: false,
    draft: draftOf(field),
    raw: '{}',
  }));
  const [faults, setFaults] = useState<readonly Fault[]>([]);
  const { run, start, answer, giveUp } = useRun(tool.server);
  const status = useLoaded((signal) => ask<Status>('/status', { signal }), { on: [] });
  const callOf = (args: Json | undefined): ToolCall => ({
    name: tool.name,
    inputSchema: schema,
    args: isObject(args) ? args : {},
  });
  const submit = (event: Event): void => {
    event.preventDefault();
    const { value: args, faults: found } = made(field, value);
    setFaults(found);
    if (found.length === 0) start(callOf(args));
  };
  const curl = (): string => {
    const message = callMessage(callOf(made(field, value).value), '1', null);
    return curlOf({
      ...message,
      url: `${(status.answer?.url ?? '').replace(/\/$/, '')}/mcp/${encodeURIComponent(tool.server)}`,
    });
  };
  const isRunning = run?.state === 'running';
  return (
    <>
      <form class="card try" aria-label="Try it" onSubmit={submit} noValidate>
        <header class="row">
          <h3>Try it</h3>
          <button type="button" class="quiet" onClick={() => setValue(turned(field, value))}>
            {value.isRaw ? 'Show inputs' : 'Show JSON'}
          </button>
        </header>
        <Arguments field={field} value={value} faults={faults} onChange={setValue} />
        <div class="row">
          <button type="submit" class="main" disabled={isRunning}>
            Call
          </button>
          {isRunning ? (
            <button type="button" onClick={giveUp}>
              Give up
            </button>
          ) : null}
          <CopyButton label="Copy for curl" text={curl} />
        </div>
      </form>
      {run === null ? null : <Outcome run={run} onAnswer={answer} />}
    </>
  );
}
