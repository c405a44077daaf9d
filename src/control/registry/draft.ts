// A change on its way from being asked for to being written, and what is told of it.
// Called by live-registry.ts. Promises: pure; secrets are hidden in what is told.
import type { Plan } from '../plan.ts';
import type { Trial } from './catalogue.ts';
import type { AuditEvent, Mapping, Refusal } from './registry.ts';
import { shown } from './secrets.ts';
import type { Change, Expectation, StoredEvent } from './store.ts';

/** A change on its way: what becomes of one server, under which condition. */
export interface Draft extends Trial {
  /** As it is to be kept; null: gone. */
  readonly settings: Mapping | null;
  readonly expect: Expectation;
  readonly action?: string;
}

/** An event as people see it. */
export function shownEvent(event: StoredEvent): AuditEvent {
  return { ...event, before: shown(event.before), after: shown(event.after) };
}

/** What to write. */
export function changeOf({ name, settings, expect, action }: Draft, actor: string): Change {
  if (settings === null) return { kind: 'remove', name, expect, actor };
  return { kind: 'put', name, settings, expect, actor, ...(action !== undefined && { action }) };
}

/** A refusal as one text. */
export function whyOf({ detail, problems }: Refusal): string {
  return [detail, ...problems.map(({ key, detail: why }) => (key === '' ? why : `${key}: ${why}`))].join(
    '; ',
  );
}

/** Several plans as one. */
export function joined(plans: readonly Plan[]): Plan {
  return {
    starts: plans.flatMap(({ starts }) => starts),
    stops: plans.flatMap(({ stops }) => stops),
    changes: plans.flatMap(({ changes }) => changes),
    applies: plans.flatMap(({ applies }) => applies),
    waits: plans.flatMap(({ waits }) => waits),
  };
}
