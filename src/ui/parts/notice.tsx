// What the page says to the reader: faults in place, and short notes that go by themselves.
// Called by app.tsx, views and parts. Promises: screen readers hear both; a note of a fault stays until it is closed.
import { useEffect } from 'preact/hooks';
import { wordsOf } from '../api/client.ts';
import { createStore, useStore } from '../store.ts';

interface Note {
  readonly id: number;
  readonly tone: 'good' | 'bad';
  readonly words: string;
}

const NOTE_MS = 5000;
const notes = createStore<readonly Note[]>([]);
let lastId = 0;

function drop(id: number): void {
  notes.set(notes.get().filter((note) => note.id !== id));
}

/** Says something in the corner of the page. */
export function say(words: string, tone: Note['tone'] = 'good'): void {
  lastId += 1;
  notes.set([...notes.get().slice(-3), { id: lastId, tone, words }]);
}

/** Does something and says how it went. True when it went well. */
export async function attempt(what: () => Promise<unknown>, done: string): Promise<boolean> {
  try {
    await what();
    say(done);
    return true;
  } catch (thrown) {
    say(wordsOf(thrown), 'bad');
    return false;
  }
}

function NoteLine({ note }: { readonly note: Note }) {
  useEffect(() => {
    if (note.tone === 'bad') return;
    const timer = setTimeout(() => drop(note.id), NOTE_MS);
    return () => clearTimeout(timer);
  }, [note.id, note.tone]);
  return (
    <div class={`note note-${note.tone}`}>
      <span>{note.words}</span>
      <button type="button" class="quiet" aria-label="Close this note" onClick={() => drop(note.id)}>
        ×
      </button>
    </div>
  );
}

/** The corner where notes appear. */
export function Notes() {
  const shown = useStore(notes);
  return (
    <div class="notes" role="status" aria-live="polite">
      {shown.map((note) => (
        <NoteLine key={note.id} note={note} />
      ))}
    </div>
  );
}

/** A fault in its place; nothing when there is none. */
export function FaultLine({ fault }: { readonly fault: string | null }) {
  return fault === null ? null : (
    <p class="fault" role="alert">
      {fault}
    </p>
  );
}

/** Stands where there would be something: what it would be, and how it gets there. */
export function Empty({ words, more }: { readonly words: string; readonly more?: string }) {
  return (
    <div class="empty">
      <p>{words}</p>
      {more === undefined ? null : <p class="muted">{more}</p>}
    </div>
  );
}
