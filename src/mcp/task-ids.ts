// Where modern messages name tasks (extension io.modelcontextprotocol/tasks): for whoever spells their ids differently than the server does.
// Called by upstream/replica-tasks.ts. Promises: pure; spans of raw JSON strings, none twice.
import { ENVELOPE, KIND } from '../scan/contract.ts';
import { isRecord, kindOf, type Message, objectAt, span, text } from './envelope.ts';
import { eachElement, isArray, isObject, member, type Span } from './json.ts';
import { METHOD, TASKS_EXTENSION } from './protocol.ts';

/** True for a request whose client declares that it knows tasks: no other one gets any. */
export function knowsTasks(bytes: Uint8Array, envelope: Int32Array): boolean {
  const { extensions } = objectAt(bytes, envelope, ENVELOPE.metaClientCapabilities);
  return isRecord(extensions) && Object.hasOwn(extensions, TASKS_EXTENSION);
}

/** True for the methods that are about one task, which `params.taskId` names. */
export function isTaskMethod(method: string): boolean {
  return method.startsWith('tasks/');
}

/** The ids of the list `taskIds` of a listen's filter, whose object begins at `at`, and that list; null when it has none. */
export function listenedTasks(bytes: Uint8Array, at: number): { list: Span; ids: readonly Span[] } | null {
  const list = isObject(bytes, at) ? member(bytes, at, 'taskIds') : null;
  if (list === null || !isArray(bytes, list.start)) return null;
  const ids: Span[] = [];
  eachElement(bytes, list.start, (start, end) => ids.push({ start, end }));
  return { list, ids };
}

/** The ids of tasks that a server's message names; `method` is that of the request which it belongs to. */
export function namedTasks({ bytes, envelope }: Message, method: string): readonly Span[] {
  const isResult = kindOf(envelope) === KIND.result;
  if (isResult && (isTaskMethod(method) || text(bytes, envelope, ENVELOPE.resultType) === 'task')) {
    const result = span(envelope, ENVELOPE.result);
    const id =
      result === null || !isObject(bytes, result.start) ? null : member(bytes, result.start, 'taskId');
    return id === null ? [] : [id];
  }
  if (kindOf(envelope) !== KIND.notification) return [];
  const told = text(bytes, envelope, ENVELOPE.method);
  if (told === METHOD.taskChanged) {
    const id = span(envelope, ENVELOPE.taskId);
    return id === null ? [] : [id];
  }
  const filter = told === METHOD.acknowledged ? span(envelope, ENVELOPE.notifications) : null;
  return filter === null ? [] : (listenedTasks(bytes, filter.start)?.ids ?? []);
}
