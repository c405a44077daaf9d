// `sluice servers …`: the servers of a running gateway: list, add, edit, remove, restart, enable, disable.
// Called by commands.ts. Promises: every change is the gateway's own, through its admin API; with --plan nothing is changed; nothing is removed that a person has not
// agreed to; what a gateway refuses is said in its words.
import type { z } from '@hono/zod-openapi';
import type { Plan, Server, Status } from '../../control/admin/schemas.ts';
import { nearest } from '../../control/suggest.ts';
import { createPaint } from '../paint.ts';
import { EXIT, type World } from '../world.ts';
import { type AdminClient, openAdmin } from './admin-client.ts';
import type { PlaceOptions } from './admin-place.ts';
import { misuse, Refusal, refuse } from './refusal.ts';
import { planText, serverTable } from './server-text.ts';
import { type GivenSettings, settingsPatch } from './settings.ts';

type ServerView = z.output<typeof Server>;

/** What a change answers. */
interface Change {
  readonly server?: ServerView | null;
  readonly plan: z.output<typeof Plan>;
}

/** Options of every change. */
export interface ChangeOptions extends PlaceOptions {
  readonly plan?: boolean;
  readonly json?: boolean;
}

const SERVERS = '/api/v1/servers';
const STATUS = '/api/v1/status';
const PAGE = 1_000;
/** Far more than a registry holds, so that a wrong cursor cannot keep us for ever. */
const PAGES_MAX = 1_000;

/** `sluice servers`. */
export async function listServers(
  world: World,
  options: PlaceOptions & { readonly search?: string; readonly json?: boolean },
): Promise<number> {
  return withAdmin(world, options, async (client) => {
    const servers = await allServers(client, options.search);
    if (servers instanceof Refusal) return servers;
    if (options.json === true) world.out(`${JSON.stringify(servers, null, 2)}\n`);
    else world.out(serverTable(servers, createPaint(world.isColourWanted())));
    return EXIT.ok;
  });
}

/** `sluice servers add`. */
export async function addServer(
  world: World,
  name: string,
  options: ChangeOptions & Omit<GivenSettings, 'unset'>,
): Promise<number> {
  const settings = settingsPatch(options);
  if (settings instanceof Refusal) return refuse(world, settings);
  if (options.url !== undefined && (options.command ?? []).length > 0)
    return refuse(world, misuse(`cannot add '${name}': it has both --url and a command; give one of them`));
  if (!['url', 'command', 'replicas'].some((key) => key in settings))
    return refuse(
      world,
      misuse(`cannot add '${name}': say where it is, with --url URL, or with -- COMMAND ARGUMENT…`),
    );
  return withAdmin(world, options, async (client) => {
    const change = await client.ask<Change>(SERVERS + query(options), {
      method: 'POST',
      body: { name, settings },
    });
    if (change instanceof Refusal) return advised(change, name);
    return told(world, options, change, `'${name}' is added and served at /mcp/${name}`);
  });
}

/** `sluice servers edit`. */
export async function editServer(
  world: World,
  name: string,
  options: ChangeOptions & Omit<GivenSettings, 'command'>,
): Promise<number> {
  const patch = settingsPatch(options);
  if (patch instanceof Refusal) return refuse(world, patch);
  if (Object.keys(patch).length === 0)
    return refuse(world, misuse(`cannot edit '${name}': say what, with --set key=value or --unset key`));
  return withAdmin(world, options, async (client) => {
    const change = await client.ask<Change>(pathOf(name) + query(options), {
      method: 'PATCH',
      body: patch,
      type: 'application/merge-patch+json',
    });
    if (change instanceof Refusal) return advised(change, name, client);
    return told(world, options, change, `'${name}' is changed`);
  });
}

/** `sluice servers rm`. */
export async function removeServer(
  world: World,
  name: string,
  options: ChangeOptions & { readonly yes?: boolean },
): Promise<number> {
  const mayAsk = world.isStdinTerminal() && options.json !== true;
  if (options.plan !== true && options.yes !== true && !mayAsk)
    return refuse(
      world,
      misuse(`cannot remove '${name}' unasked: add --yes, or see with --plan what it would do`),
    );
  return withAdmin(world, options, async (client) => {
    const outlook = await client.ask<Change>(`${pathOf(name)}?plan=1`, { method: 'DELETE' });
    if (outlook instanceof Refusal) return advised(outlook, name, client);
    if (options.plan === true) return told(world, options, outlook, '');
    if (options.yes !== true) {
      world.err(`${planText(outlook.plan, createPaint(false))}Remove '${name}'? [y/N] `);
      if (!/^y(?:es)?$/i.test(await answer(world))) {
        world.err('nothing was removed\n');
        return EXIT.failed;
      }
    }
    const change = await client.ask<Change>(pathOf(name), { method: 'DELETE' });
    if (change instanceof Refusal) return advised(change, name, client);
    return told(world, options, change, `'${name}' is removed`);
  });
}

/** `sluice servers enable` and `disable`. */
export async function switchServer(
  world: World,
  [verb, name]: readonly ['enable' | 'disable', string],
  options: ChangeOptions,
): Promise<number> {
  return withAdmin(world, options, async (client) => {
    const path = `${pathOf(name)}/${verb}${query(options)}`;
    const change = await client.ask<Change>(path, { method: 'POST' });
    if (change instanceof Refusal) return advised(change, name, client);
    return told(world, options, change, `'${name}' is ${verb}d`);
  });
}

/** `sluice servers restart`. */
export async function restartServer(world: World, name: string, options: PlaceOptions): Promise<number> {
  return withAdmin(world, options, async (client) => {
    const done = await client.ask<{ readonly done: number }>(`${pathOf(name)}/restart`, { method: 'POST' });
    if (done instanceof Refusal) return advised(done, name, client);
    const where =
      done.done === 0
        ? 'no worker had any connection or process of it'
        : `in ${done.done} worker${done.done === 1 ? '' : 's'}`;
    world.out(`'${name}' begins anew: ${where}\n`);
    return EXIT.ok;
  });
}

async function withAdmin(
  world: World,
  options: PlaceOptions,
  use: (client: AdminClient) => Promise<number | Refusal>,
): Promise<number> {
  const client = await openAdmin(world, options);
  const outcome = client instanceof Refusal ? client : await use(client);
  return outcome instanceof Refusal ? refuse(world, outcome) : outcome;
}

/** Every server, page by page. */
async function allServers(client: AdminClient, search = ''): Promise<ServerView[] | Refusal> {
  const servers: ServerView[] = [];
  const wanted = search === '' ? '' : `&search=${encodeURIComponent(search)}`;
  let cursor: string | null = '0';
  for (let page = 0; page < PAGES_MAX && cursor !== null; page++) {
    const path: string = `${SERVERS}?limit=${PAGE}&cursor=${cursor}${wanted}`;
    const found: { readonly items: readonly ServerView[]; readonly next: string | null } | Refusal =
      await client.ask(path);
    if (found instanceof Refusal) return found;
    servers.push(...found.items);
    cursor = found.next;
  }
  return servers;
}

function pathOf(name: string): string {
  return `${SERVERS}/${encodeURIComponent(name)}`;
}

function query({ plan }: ChangeOptions): string {
  return plan === true ? '?plan=1' : '';
}

/** What was refused, with what to do about it. */
async function advised(refusal: Refusal, name: string, client?: AdminClient): Promise<Refusal> {
  const { why, code } = refusal;
  const say = (advice: string): Refusal => new Refusal(`${why}\n${advice}`, { code });
  if (code === 'GW_REGISTRY_EXISTS') return say(`\`sluice servers edit ${name}\` changes it`);
  if (code === 'GW_REGISTRY_FILE') {
    const status = client === undefined ? refusal : await client.ask<z.output<typeof Status>>(STATUS);
    const path = status instanceof Refusal ? null : status.configPath;
    return path === null ? refusal : say(`the gateway takes up ${path} as soon as it is saved`);
  }
  if (code !== 'GW_REGISTRY_UNKNOWN' && code !== 'GW_ADMIN_UNKNOWN') return refusal;
  const servers = client === undefined ? refusal : await allServers(client);
  if (servers instanceof Refusal) return refusal;
  const near = nearest(
    name,
    servers.map((server) => server.name),
  );
  return say(
    near === null || near === name ? '`sluice servers` shows what there is' : `did you mean '${near}'?`,
  );
}

/** Prints what was done, or would be. */
function told(world: World, options: ChangeOptions, change: Change, done: string): number {
  const { plan, server = null } = change;
  const isPlan = options.plan === true;
  if (options.json === true) {
    world.out(`${JSON.stringify({ ...(isPlan ? {} : { server }), plan }, null, 2)}\n`);
    return EXIT.ok;
  }
  const paint = createPaint(world.isColourWanted());
  if (!isPlan) world.out(`${done}\n`);
  const problem = server?.problem ?? null;
  if (problem !== null) world.out(`it is not served: ${problem}\n`);
  world.out(planText(plan, paint, isPlan ? 'Nothing is changed. It would be so:' : ''));
  return EXIT.ok;
}

/** One line of stdin. */
function answer(world: World): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  return new Promise((resolve) => {
    const end = (): void => resolve(text.split('\n', 1)[0]?.trim() ?? '');
    world.runtime.standard.readStdin((bytes) => {
      text += decoder.decode(bytes, { stream: true });
      if (text.includes('\n')) end();
    }, end);
  });
}
