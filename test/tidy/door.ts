// Where the world comes in: only src/runtime/ touches Bun, node modules, timers, clocks, randomness, the process or the network.
// Called by tidy.test.ts. Promises: what is allowed elsewhere stands in one list with its reason, and an entry that is
// no longer needed is a finding too.
import { importsOf } from './imports.ts';
import { place, type Source } from './source.ts';

/** A kind of reaching out, and what to do instead. */
interface Door {
  readonly what: string;
  readonly pattern: RegExp;
  readonly instead: string;
}

const FREE = '(?<![.\\w$#])';
const DOORS: readonly Door[] = [
  {
    what: 'Bun',
    pattern: new RegExp(`${FREE}Bun\\b(?!\\s*[:=])`, 'g'),
    instead: 'add what is missing to runtime/runtime.ts and take it from the Runtime',
  },
  {
    what: 'timers',
    pattern: new RegExp(
      `${FREE}(?:setTimeout|setInterval|setImmediate|clearTimeout|clearInterval|clearImmediate|queueMicrotask)\\b`,
      'g',
    ),
    instead: 'use Runtime.clock.after, .cancel or .soon',
  },
  {
    what: 'clock',
    pattern: new RegExp(`${FREE}(?:Date\\s*[.(]|performance\\s*\\.)`, 'g'),
    instead: 'use Runtime.clock.now or .wall',
  },
  {
    what: 'randomness',
    pattern: new RegExp(`${FREE}(?:Math\\s*\\.\\s*random\\b|crypto\\s*\\.)`, 'g'),
    instead: 'use Runtime.random',
  },
  {
    what: 'process',
    pattern: new RegExp(`${FREE}process\\s*[.\\[]`, 'g'),
    instead: 'take it as an argument; only main.ts and cli/ see the process',
  },
  {
    what: 'network',
    pattern: new RegExp(
      `${FREE}(?:fetch\\s*\\(|new\\s+(?:WebSocket|EventSource|XMLHttpRequest|Worker)\\b)`,
      'g',
    ),
    instead: 'use Runtime.connect or .startWorker',
  },
];

/** Packages and modules that reach into the world. */
const WORLD_MODULE =
  /^(?:node:|bun$|bun:|fs$|net$|http$|https$|os$|path$|child_process$|crypto$|worker_threads$|timers$|process$|module$|url$)/;
const MODULE_DOOR = 'module';

/** One thing that one place may do. `path` ends in `/` for a room. */
export interface DoorException {
  readonly path: string;
  readonly what: string;
  readonly reason: string;
}

function holds(exception: DoorException, path: string, what: string): boolean {
  const covered = exception.path.endsWith('/') ? path.startsWith(exception.path) : path === exception.path;
  return covered && (exception.what === '*' || exception.what === what);
}

/** Places of src/ that reach into the world and may not, and exceptions that nothing needs. */
export function findDoorFaults(sources: readonly Source[], exceptions: readonly DoorException[]): string[] {
  const faults: string[] = [];
  const needed = new Set<DoorException>();
  const judge = (source: Source, offset: number, what: string, shown: string, instead: string): void => {
    const exception = exceptions.find((candidate) => holds(candidate, source.path, what));
    if (exception !== undefined) needed.add(exception);
    else faults.push(`${place(source, offset)} reaches into the world with ${shown}: ${instead}`);
  };
  for (const source of sources) {
    if (!source.path.startsWith('src/')) continue;
    for (const door of DOORS) {
      for (const match of source.code.matchAll(door.pattern))
        judge(source, match.index, door.what, match[0].trim(), door.instead);
    }
    for (const found of importsOf(source)) {
      if (WORLD_MODULE.test(found.specifier))
        judge(
          source,
          found.offset,
          MODULE_DOOR,
          found.specifier,
          'move the use into src/runtime/, behind runtime.ts',
        );
    }
  }
  for (const exception of exceptions) {
    if (!needed.has(exception))
      faults.push(
        `the exception for ${exception.path} (${exception.what}) is not needed: take it off the list`,
      );
  }
  return faults;
}

const ASYNC = /(?<![.\w$])(?:async|await|Promise)\b|\.then\s*\(/g;

/** Anything asynchronous in rooms that are synchronous by design. */
export function findAsync(sources: readonly Source[], rooms: readonly string[]): string[] {
  const faults: string[] = [];
  for (const source of sources) {
    if (!rooms.some((room) => source.path.startsWith(`src/${room}/`))) continue;
    for (const match of source.code.matchAll(ASYNC)) {
      faults.push(
        `${place(source, match.index)} holds ${match[0].trim()}: this room is synchronous, let the caller wait and pass the value in`,
      );
    }
  }
  return faults;
}
