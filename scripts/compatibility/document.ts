// docs/compatibility.md, made of the cells of a whole run.
// Called by scripts/compatibility.ts and checked by test/e2e/compatibility.test.ts. Promises: no cell is blank; a cell that is not ok points to a note.
import type { ClientKind } from './driver.ts';
import { FEATURES } from './features.ts';
import { type Cell, SERVERS } from './matrix.ts';

/** The cells of one client: `server name` → one cell a feature. */
export interface ClientCells {
  readonly client: ClientKind;
  readonly cells: ReadonlyMap<string, readonly Cell[]>;
}

const HEAD = `# Compatibility

<!-- Made by scripts/compatibility.ts from a run: \`npm run compatibility\` instead of editing. -->

Real clients, each with every kind of server, through one gateway that finds out by itself which protocol era a server speaks. *Legacy* servers know the
revisions up to 2025-11-25 (SDK v1), *modern* ones 2026-07-28 alone (SDK v2). \`ok\` means that the client saw the feature work from end to end in the run
that made this page; any other cell names the note that says why it cannot.
`;

const FOOT = `## What no gateway can keep

Between a client and a server of different eras, since one of the two protocols has no words for it:

- a question of a legacy server while no call is under way, or while it cannot be told which of several calls it belongs to: a modern client is asked in the answer to
  a call, or not at all. The server is told that the client cannot be asked;
- log messages of a legacy server that belong to no call: a modern client hears those of its own calls;
- \`notifications/roots/list_changed\` and progress notifications of a legacy client: modern servers know neither;
- the tasks of revision 2025-11-25, which are not those of the later extension;
- what was sent on an event stream while nobody read it, where the server keeps nothing to take it up again from.
`;

/** The page. */
export function compatibilityPage(rows: readonly ClientCells[]): string {
  const notes: string[] = [];
  const noteOf = (why: string): string => {
    if (!notes.includes(why)) notes.push(why);
    return `note ${notes.indexOf(why) + 1}`;
  };
  const parts = rows.map(({ client, cells }) => {
    const columns = SERVERS.filter((server) => cells.has(server.name));
    const lines = FEATURES.map((feature, at) => {
      const row = columns.map(({ name }) => {
        const cell = cells.get(name)?.[at];
        if (cell === undefined) return noteOf('not tried');
        return cell.kind === 'ok' ? 'ok' : noteOf(cell.why);
      });
      return `| ${feature.title} | ${row.join(' | ')} |`;
    });
    const head = `| | ${columns.map((server) => server.title).join(' | ')} |`;
    const rule = `|---|${columns.map(() => '---').join('|')}|`;
    return [`## ${client.title}`, '', head, rule, ...lines, ''].join('\n');
  });
  const list = notes.map((why, at) => `${at + 1}. ${why[0]?.toUpperCase()}${why.slice(1)}.`);
  return [HEAD, ...parts, ...(list.length === 0 ? [] : ['## Notes', '', ...list, '']), FOOT].join('\n');
}
