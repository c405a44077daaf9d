// What a server asks back in the middle of a call, and the answers: forms, addresses to open, words in the place of a model, folders.
// Called by views/try-it.tsx. Promises: every question is answered or declined; an address is only shown, never opened by itself.
import { useState } from 'preact/hooks';
import type { Json } from '../api/types.ts';
import { type Draft, draftOf, type Fault, madeOf } from '../model/field-values.ts';
import type { Question } from '../model/mcp-call.ts';
import { fieldsOf, isObject, type JsonObject } from '../model/schema-fields.ts';
import { JsonCode } from './code.tsx';
import { FieldInput, ObjectFields } from './schema-form.tsx';

/** What the reader did about one question. */
interface Answering {
  readonly action: 'accept' | 'decline' | 'cancel';
  readonly draft: Draft;
}

const ROOTS_SCHEMA: Json = {
  type: 'object',
  properties: {
    roots: {
      title: 'Folders',
      description: 'Addresses such as file:///home/ada/project',
      type: 'array',
      items: { type: 'string' },
    },
  },
};
const WORDS_SCHEMA: Json = {
  type: 'object',
  properties: { text: { title: 'Answer in the place of the model', type: 'string', maxLength: 100_000 } },
  required: ['text'],
};

function schemaOf({ method, params }: Question): Json {
  if (method === 'sampling/createMessage') return WORDS_SCHEMA;
  if (method === 'roots/list') return ROOTS_SCHEMA;
  return params.requestedSchema ?? { type: 'object', properties: {} };
}

function responseTo(question: Question, action: Answering['action'], value: Json): Json {
  const given = isObject(value) ? value : {};
  if (question.method === 'sampling/createMessage')
    return {
      role: 'assistant',
      content: { type: 'text', text: given.text ?? '' },
      model: 'a person',
      stopReason: 'endTurn',
    };
  if (question.method === 'roots/list') {
    const roots: readonly Json[] = Array.isArray(given.roots) ? given.roots : [];
    return { roots: roots.map((uri) => ({ uri })) };
  }
  if (action !== 'accept') return { action };
  return question.params.mode === 'url' ? { action } : { action, content: value };
}

function About({ question }: { readonly question: Question }) {
  const { method, params } = question;
  const message = typeof params.message === 'string' ? params.message : null;
  const url = typeof params.url === 'string' && /^https?:\/\//.test(params.url) ? params.url : null;
  return (
    <>
      <p class="muted">
        {method} <span class="dim">({question.key})</span>
      </p>
      {message === null ? null : <p class="asked">{message}</p>}
      {url === null ? null : (
        <p>
          <a href={url} target="_blank" rel="noopener noreferrer">
            {url}
          </a>
        </p>
      )}
      {method === 'sampling/createMessage' ? (
        <JsonCode value={params.messages ?? []} label="Messages for the model" />
      ) : null}
    </>
  );
}

/** What the form of questions is given. */
export interface QuestionsProps {
  readonly questions: readonly Question[];
  readonly isBusy: boolean;
  readonly onAnswer: (responses: JsonObject) => void;
}

/** All questions of a round, and the buttons that answer them. */
export function Questions({ questions, isBusy, onAnswer }: QuestionsProps) {
  const fields = questions.map((question) => fieldsOf(schemaOf(question)));
  const [drafts, setDrafts] = useState<readonly Draft[]>(() => fields.map((field) => draftOf(field)));
  const [faults, setFaults] = useState<readonly (readonly Fault[])[]>([]);
  const answer = (action: Answering['action']): void => {
    const made = fields.map((field, at) => madeOf(field, drafts[at] ?? null));
    setFaults(action === 'accept' ? made.map((one) => one.faults) : []);
    if (action === 'accept' && made.some((one) => one.faults.length > 0)) return;
    onAnswer(
      Object.fromEntries(
        questions.map((question, at) => [question.key, responseTo(question, action, made[at]?.value ?? {})]),
      ),
    );
  };
  return (
    <form
      class="card questions"
      aria-label="The server asks"
      onSubmit={(event) => {
        event.preventDefault();
        answer('accept');
      }}
    >
      <h3>The server asks</h3>
      {questions.map((question, at) => {
        const field = fields[at];
        const props = {
          draft: drafts[at] ?? null,
          path: '',
          faults: faults[at] ?? [],
          onChange: (draft: Draft) => setDrafts(drafts.map((one, index) => (index === at ? draft : one))),
        };
        return (
          <div key={question.key} class="question">
            <About question={question} />
            {field?.kind === 'object' ? <ObjectFields {...props} field={field} /> : null}
            {field !== undefined && field.kind !== 'object' ? <FieldInput {...props} field={field} /> : null}
          </div>
        );
      })}
      <div class="row">
        <button type="submit" class="main" disabled={isBusy}>
          Answer
        </button>
        <button type="button" disabled={isBusy} onClick={() => answer('decline')}>
          Decline
        </button>
        <button type="button" disabled={isBusy} onClick={() => answer('cancel')}>
          Cancel the question
        </button>
      </div>
    </form>
  );
}
