// Values that several parts of the page look at, and the loading of what the API answers.
// Called by views and parts. Promises: whoever looks is drawn again when the value changes; an answer that comes after its question was given up is dropped.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { wordsOf } from './api/client.ts';

/** A value that can be watched. */
export interface Store<Value> {
  get(): Value;
  set(value: Value): void;
  /** Calls back after each change; returns what ends that. */
  watch(callback: () => void): () => void;
}

/** Makes a store. */
export function createStore<Value>(first: Value): Store<Value> {
  let value = first;
  const watchers = new Set<() => void>();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const watcher of [...watchers]) watcher();
    },
    watch(callback) {
      watchers.add(callback);
      return () => void watchers.delete(callback);
    },
  };
}

/** The value of a store, now and after each change. */
export function useStore<Value>(store: Store<Value>): Value {
  const [value, setValue] = useState(() => store.get());
  useEffect(() => {
    const read = (): void => setValue(() => store.get());
    read();
    return store.watch(read);
  }, [store]);
  return value;
}

/** What a question to the API has brought so far. */
export interface Loaded<Answer> {
  /** The last answer; null before the first. It stays while the next one is on its way. */
  readonly answer: Answer | null;
  /** What went wrong last, in words; null when nothing did. */
  readonly fault: string | null;
  readonly isLoading: boolean;
  /** Asks again now. */
  readonly again: () => void;
}

/** When to ask again by itself. */
export interface Again {
  /** Time between two questions; left out: only when `on` changes. Nothing is asked while the page is hidden. */
  readonly everyMs?: number;
  /** Asks anew when one of these changes. */
  readonly on: readonly unknown[];
  /** While true nothing is asked, and a question that is under way is given up. */
  readonly isHeld?: boolean;
}

/** Questions whose first answer is still on its way: what is shown is not yet what there is. */
export const firstAnswers = createStore(0);

/** Asks the API, and again when told to. */
export function useLoaded<Answer>(
  load: (signal: AbortSignal) => Promise<Answer>,
  again: Again,
): Loaded<Answer> {
  const [state, setState] = useState<Omit<Loaded<Answer>, 'again'>>({
    answer: null,
    fault: null,
    isLoading: true,
  });
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const isHeld = again.isHeld === true;
  useEffect(() => {
    if (isHeld) return;
    const gaveUp = new AbortController();
    setState((before) => ({ ...before, isLoading: true }));
    latest.current(gaveUp.signal).then(
      (answer) => gaveUp.signal.aborted || setState({ answer, fault: null, isLoading: false }),
      (thrown: unknown) =>
        gaveUp.signal.aborted ||
        setState((before) => ({ answer: before.answer, fault: wordsOf(thrown), isLoading: false })),
    );
    return () => gaveUp.abort();
  }, [turn, isHeld, ...again.on]);
  const isFirst = state.answer === null && state.isLoading;
  useEffect(() => {
    if (!isFirst) return;
    firstAnswers.set(firstAnswers.get() + 1);
    return () => firstAnswers.set(firstAnswers.get() - 1);
  }, [isFirst]);
  const ask = useCallback(() => setTurn((before) => before + 1), []);
  useEffect(() => {
    if (again.everyMs === undefined) return;
    const timer = setInterval(() => document.hidden || ask(), again.everyMs);
    return () => clearInterval(timer);
  }, [again.everyMs, ask]);
  return { ...state, again: ask };
}
