// Inputs for the fields of a schema: one for each kind, nested as the schema is.
// Called by views/try-it.tsx (arguments of tools) and parts/questions.tsx (what servers ask back). Promises: every input has its label; faults stand at their fields.
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { below, type Draft, draftOf, type Fault } from '../model/field-values.ts';
import type { Field } from '../model/schema-fields.ts';

/** A field and what stands in it. */
export interface FieldProps {
  readonly field: Field;
  readonly draft: Draft;
  readonly path: string;
  readonly faults: readonly Fault[];
  readonly onChange: (draft: Draft) => void;
}

interface Names {
  readonly id: string;
  readonly 'aria-describedby': string;
  readonly 'aria-invalid': boolean;
}

function Labelled(props: FieldProps & { readonly children: (names: Names) => ComponentChildren }) {
  const id = useId();
  const { field, path, faults } = props;
  const fault = faults.find((one) => one.path === path);
  const names = { id, 'aria-describedby': `${id}-about`, 'aria-invalid': fault !== undefined };
  return (
    <div class="field">
      <label for={id}>
        {field.label === '' ? 'Value' : field.label}
        {field.isRequired ? <span class="needed"> needed</span> : null}
      </label>
      {props.children(names)}
      <div id={`${id}-about`} class="about">
        {fault === undefined ? null : <span class="fault">{fault.words}. </span>}
        {field.description}
      </div>
    </div>
  );
}

/** The keyboard of a phone for a format, and what a value looks like. */
const FORMATS: Readonly<
  Record<string, { readonly inputMode: 'email' | 'url' | 'text'; readonly placeholder: string }>
> = {
  email: { inputMode: 'email', placeholder: 'ada@example.org' },
  uri: { inputMode: 'url', placeholder: 'https://example.org/' },
  date: { inputMode: 'text', placeholder: '2026-07-28' },
  'date-time': { inputMode: 'text', placeholder: '2026-07-28T12:00:00Z' },
};

function TextInput(props: FieldProps & { readonly field: Field & { kind: 'text' } }) {
  const value = typeof props.draft === 'string' ? props.draft : '';
  const isLong = value.includes('\n') || value.length > 80 || (props.field.lengthMax ?? 0) > 200;
  const onInput = (event: { currentTarget: { value: string } }): void =>
    props.onChange(event.currentTarget.value);
  return (
    <Labelled {...props}>
      {(names) =>
        isLong ? (
          <textarea {...names} rows={4} value={value} onInput={onInput} />
        ) : (
          <input
            {...names}
            type="text"
            {...FORMATS[props.field.format]}
            value={value}
            onInput={onInput}
            autocomplete="off"
          />
        )
      }
    </Labelled>
  );
}

function NumberInput(props: FieldProps & { readonly field: Field & { kind: 'number' } }) {
  const { field, draft, onChange } = props;
  return (
    <Labelled {...props}>
      {(names) => (
        <input
          {...names}
          inputMode={field.isInteger ? 'numeric' : 'decimal'}
          value={typeof draft === 'string' ? draft : ''}
          onInput={(event) => onChange(event.currentTarget.value)}
          autocomplete="off"
        />
      )}
    </Labelled>
  );
}

function BooleanInput(props: FieldProps) {
  const { field, draft, onChange } = props;
  if (!field.isRequired && field.initial === undefined) {
    const values: Readonly<Record<string, Draft>> = { '': null, true: true, false: false };
    return (
      <Labelled {...props}>
        {(names) => (
          <select
            {...names}
            value={draft === null ? '' : String(draft)}
            onChange={(event) => onChange(values[event.currentTarget.value] ?? null)}
          >
            <option value="">not set</option>
            <option value="true">true</option>
            <option value="false">false</option>
          </select>
        )}
      </Labelled>
    );
  }
  return (
    <Labelled {...props}>
      {(names) => (
        <input
          {...names}
          type="checkbox"
          checked={draft === true}
          onChange={(event) => onChange(event.currentTarget.checked)}
        />
      )}
    </Labelled>
  );
}

function ChoiceInput(props: FieldProps & { readonly field: Field & { kind: 'choice' } }) {
  return (
    <Labelled {...props}>
      {(names) => (
        <select
          {...names}
          value={typeof props.draft === 'string' ? props.draft : ''}
          onChange={(event) => props.onChange(event.currentTarget.value)}
        >
          <option value="">{props.field.isRequired ? 'choose one' : 'not set'}</option>
          {props.field.options.map((option, at) => (
            <option key={option.label} value={String(at)}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </Labelled>
  );
}

/** A group of inputs with its name above it. */
function Group(props: FieldProps & { readonly children: ComponentChildren }) {
  const fault = props.faults.find((one) => one.path === props.path);
  return (
    <fieldset class="group">
      <legend>{props.field.label === '' ? 'Value' : props.field.label}</legend>
      {props.field.description === '' ? null : <p class="about">{props.field.description}</p>}
      {fault === undefined ? null : <p class="fault">{fault.words}</p>}
      {props.children}
    </fieldset>
  );
}

function ChoicesInput(props: FieldProps & { readonly field: Field & { kind: 'choices' } }) {
  const chosen: readonly Draft[] = Array.isArray(props.draft) ? props.draft : [];
  const toggle = (index: string, isOn: boolean): void =>
    props.onChange(isOn ? [...chosen, index] : chosen.filter((one) => one !== index));
  return (
    <Group {...props}>
      {props.field.options.map((option, at) => (
        <label key={option.label} class="check">
          <input
            type="checkbox"
            checked={chosen.includes(String(at))}
            onChange={(event) => toggle(String(at), event.currentTarget.checked)}
          />
          {option.label}
        </label>
      ))}
    </Group>
  );
}

function ArrayInput(props: FieldProps & { readonly field: Field & { kind: 'array' } }) {
  const { field, path, onChange } = props;
  const items: readonly Draft[] = Array.isArray(props.draft) ? props.draft : [];
  return (
    <Group {...props}>
      {items.map((item, at) => (
        <div key={at} class="item">
          <FieldInput
            field={{ ...field.item, label: `${field.label} ${at + 1}` }}
            draft={item}
            path={below(path, String(at))}
            faults={props.faults}
            onChange={(draft) => onChange(items.map((one, index) => (index === at ? draft : one)))}
          />
          <button
            type="button"
            aria-label={`Remove ${field.label} ${at + 1}`}
            onClick={() => onChange(items.filter((_, index) => index !== at))}
          >
            Remove
          </button>
        </div>
      ))}
      <button type="button" onClick={() => onChange([...items, draftOf(field.item)])}>
        Add to {field.label === '' ? 'the list' : field.label}
      </button>
    </Group>
  );
}

/** The fields of an object, without a frame. */
export function ObjectFields(props: FieldProps & { readonly field: Field & { kind: 'object' } }) {
  const { field, draft, path, faults, onChange } = props;
  // a list is no object of drafts; what an object field holds is one
  const drafts = (typeof draft === 'object' && !Array.isArray(draft) ? (draft ?? {}) : {}) as Readonly<
    Record<string, Draft>
  >;
  return (
    <>
      {field.fields.map((one) => (
        <FieldInput
          key={one.key}
          field={one}
          draft={drafts[one.key] ?? draftOf(one)}
          path={below(path, one.key)}
          faults={faults}
          onChange={(changed) => onChange({ ...drafts, [one.key]: changed })}
        />
      ))}
    </>
  );
}

function JsonInput(props: FieldProps) {
  return (
    <Labelled {...props}>
      {(names) => (
        <textarea
          {...names}
          class="code"
          rows={4}
          spellcheck={false}
          placeholder="JSON"
          value={typeof props.draft === 'string' ? props.draft : ''}
          onInput={(event) => props.onChange(event.currentTarget.value)}
        />
      )}
    </Labelled>
  );
}

/** The inputs of a field, whatever it is. */
export function FieldInput(props: FieldProps) {
  const { field } = props;
  switch (field.kind) {
    case 'text':
      return <TextInput {...props} field={field} />;
    case 'number':
      return <NumberInput {...props} field={field} />;
    case 'boolean':
      return <BooleanInput {...props} />;
    case 'choice':
      return <ChoiceInput {...props} field={field} />;
    case 'choices':
      return <ChoicesInput {...props} field={field} />;
    case 'array':
      return <ArrayInput {...props} field={field} />;
    case 'object':
      return (
        <Group {...props}>
          <ObjectFields {...props} field={field} />
        </Group>
      );
    case 'json':
      return <JsonInput {...props} />;
  }
}
