// Tools of all servers: search, what each one wants, and trying it.
// Called by app.tsx. Promises: what could not be asked is named; a list of thousands stays quick, since only its first part is drawn.
import { useState } from 'preact/hooks';
import { ask, pathOf } from '../api/client.ts';
import type { Tool } from '../api/types.ts';
import { serversTurn } from '../live.ts';
import { plural } from '../model/format.ts';
import { hrefOf } from '../model/route.ts';
import { walk } from '../parts/arrows.ts';
import { JsonCode } from '../parts/code.tsx';
import { Empty, FaultLine } from '../parts/notice.tsx';
import { PageHead, Search } from '../parts/page-head.tsx';
import { useLoaded, useStore } from '../store.ts';
import { TryIt } from './try-it.tsx';

const SHOWN_MAX = 300;

interface Answer {
  readonly items: readonly Tool[];
  readonly missing: readonly { readonly server: string; readonly detail: string }[];
}

const HINTS: readonly (readonly [string, string])[] = [
  ['readOnlyHint', 'only reads'],
  ['destructiveHint', 'may destroy'],
  ['idempotentHint', 'may be repeated'],
  ['openWorldHint', 'reaches outside'],
];

function Hints({ tool }: { readonly tool: Tool }) {
  return (
    <>
      {HINTS.filter(([key]) => tool.annotations?.[key] === true).map(([key, words]) => (
        <span key={key} class="tag">
          {words}
        </span>
      ))}
    </>
  );
}

function Detail({ tool }: { readonly tool: Tool }) {
  return (
    <article class="detail">
      <p class="back">
        <a href={hrefOf('tools')}>‹ Tools</a>
      </p>
      <header class="page-head">
        <div>
          <h2>{tool.title ?? tool.name}</h2>
          <p class="muted">
            <code>{tool.name}</code> of <a href={hrefOf('servers', tool.server)}>{tool.server}</a>, at /mcp as{' '}
            <code>{tool.shownAs}</code> <Hints tool={tool} />
          </p>
        </div>
      </header>
      {tool.description === null ? null : <p class="prose">{tool.description}</p>}
      <TryIt key={`${tool.server} ${tool.name}`} tool={tool} />
      <details class="card">
        <summary>Input schema</summary>
        <JsonCode value={tool.inputSchema} label="Input schema" />
      </details>
    </article>
  );
}

interface ListProps {
  readonly tools: readonly Tool[];
  readonly chosen: Tool | null;
}

function List({ tools, chosen }: ListProps) {
  const shown = tools.slice(0, SHOWN_MAX);
  const servers = [...new Set(shown.map((tool) => tool.server))];
  return (
    <nav class="list" aria-label="Tools" onKeyDown={(event) => walk(event, 'a')}>
      {servers.map((server) => (
        <section key={server} aria-label={server}>
          <h2>{server}</h2>
          <ul class="plain">
            {shown
              .filter((tool) => tool.server === server)
              .map((tool) => (
                <li key={tool.name}>
                  <a
                    href={hrefOf('tools', server, tool.name)}
                    aria-current={tool === chosen ? 'true' : undefined}
                  >
                    <b>{tool.name}</b>
                    <span class="muted">{tool.description ?? tool.title}</span>
                  </a>
                </li>
              ))}
          </ul>
        </section>
      ))}
      {tools.length > SHOWN_MAX ? (
        <p class="muted">{tools.length - SHOWN_MAX} more: search for them.</p>
      ) : null}
    </nav>
  );
}

/** The view. `server` narrows the list, `name` opens one tool. */
export function Tools({ server, name }: { readonly server: string | null; readonly name: string | null }) {
  const [search, setSearch] = useState('');
  const turn = useStore(serversTurn);
  const { answer, fault, isLoading, again } = useLoaded(
    (signal) => ask<Answer>(pathOf(['tools'], { search }), { signal }),
    { on: [turn, search] },
  );
  const tools = answer?.items ?? [];
  const listed = server === null || name !== null ? tools : tools.filter((tool) => tool.server === server);
  const chosen = tools.find((tool) => tool.server === server && tool.name === name) ?? null;
  return (
    <div class={`browse ${chosen === null ? '' : 'browse-open'}`}>
      <PageHead title="Tools" about={answer === null ? 'Asking the servers…' : plural(listed.length, 'tool')}>
        {server !== null && name === null ? (
          <a class="button" href={hrefOf('tools')}>
            Of all servers
          </a>
        ) : null}
        <Search label="Search tools" value={search} onInput={setSearch} />
        <button type="button" onClick={again} disabled={isLoading}>
          Ask again
        </button>
      </PageHead>
      <FaultLine fault={fault} />
      {(answer?.missing ?? []).map((one) => (
        <p key={one.server} class="fault">
          {one.server} did not say: {one.detail}
        </p>
      ))}
      {answer !== null && listed.length === 0 ? <Empty words="No tools found." /> : null}
      <div class="browse-parts">
        <List tools={listed} chosen={chosen} />
        {chosen === null ? (
          <p class="empty muted hint">Choose a tool to see what it wants, and to try it.</p>
        ) : (
          <Detail tool={chosen} />
        )}
      </div>
    </div>
  );
}
