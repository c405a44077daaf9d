// Where the admin listener of the gateway is that is meant, and the token for it.
// Called by admin-client.ts. Promises: a token that is kept on this machine is sent to this machine, or to where its configuration says, and nowhere else; nothing is written.
import { tokenPath } from '../../control/admin/token.ts';
import { ADMIN_PORT } from '../../control/admin-schema.ts';
import { loadConfig } from '../../control/load.ts';
import type { Config } from '../../control/schema.ts';
import { findConfig, homeState, printProblems } from '../configure.ts';
import { EXIT, type World } from '../world.ts';
import { misuse, Refusal } from './refusal.ts';

/** How the command line says which gateway is meant. */
export interface PlaceOptions {
  readonly config?: string;
  /** URL of the admin listener. */
  readonly admin?: string;
  readonly token?: string;
}

/** An admin listener. */
export interface AdminPlace {
  /** Without a slash at the end. */
  readonly url: string;
  readonly token: string;
  /** Where the token is from, behind "the token": `in /x/admin.token`. */
  readonly tokenFrom: string;
  /** What else may be wrong when it does not answer; '' for nothing. */
  readonly hint: string;
}

/** What the configuration says about it. */
interface Configured {
  readonly config: Config | null;
  readonly hint: string;
}

/** Finds it. */
export async function findAdmin(world: World, options: PlaceOptions): Promise<AdminPlace | Refusal> {
  const asked = options.token ?? world.env.SLUICE_ADMIN_TOKEN ?? '';
  const named = options.admin === undefined ? null : adminUrl(options.admin);
  if (options.admin !== undefined && named === null)
    return misuse(
      `cannot use --admin: found '${options.admin}'; allowed: the http:// or https:// URL of an admin listener, such as http://127.0.0.1:${ADMIN_PORT}`,
    );
  if (named !== null && asked !== '' && options.config === undefined)
    return { url: named, token: asked, tokenFrom: sourceOf(options), hint: '' };
  const found = await configured(world, options.config);
  if (found instanceof Refusal) return found;
  const own = configuredUrl(found.config);
  const url = named ?? own;
  if (url instanceof Refusal) return url;
  if (asked !== '') return { url, token: asked, tokenFrom: sourceOf(options), hint: found.hint };
  if (!isHere(url) && url !== own)
    return misuse(
      `cannot use the token of this machine for ${url}: say which one that gateway has, with --token or SLUICE_ADMIN_TOKEN`,
    );
  return withKeptToken(world, url, found);
}

function sourceOf({ token }: PlaceOptions): string {
  return token === undefined ? 'in SLUICE_ADMIN_TOKEN' : 'given with --token';
}

/** An URL as it is called by, or null. */
function adminUrl(text: string): string | null {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '') return null;
  return url.origin + url.pathname.replace(/\/+$/, '');
}

/** True when nobody but this machine is reached by it. */
export function isHere(url: string): boolean {
  return /^https?:\/\/(?:localhost|127(?:\.\d+){3}|\[::1\])(?:[:/]|$)/.test(url);
}

async function configured(world: World, named: string | undefined): Promise<Configured | Refusal> {
  const found = await findConfig(world, named);
  if (found === null) return { config: null, hint: '' };
  const loaded = await loadConfig(world.runtime.files, { ...found, env: world.env });
  if (loaded.ok) return { config: loaded.config, hint: '' };
  if (named === undefined)
    return {
      config: null,
      hint: `${found.shown} is refused here (\`sluice check\` says why), so it was not asked where the gateway is`,
    };
  printProblems(world, loaded);
  return new Refusal('cannot tell from it where the gateway is: mend it, or use --admin and --token', {
    exitCode: EXIT.usage,
  });
}

/** Where the configuration puts it. */
function configuredUrl(config: Config | null): string | Refusal {
  if (config === null) return `http://127.0.0.1:${ADMIN_PORT}`;
  const { admin, listen } = config;
  if (!admin.enabled)
    return misuse(
      'cannot reach a gateway: its configuration has admin.enabled: false; set it to true and restart the gateway',
    );
  const port = admin.port ?? (listen.port === 0 ? 0 : ADMIN_PORT);
  if (port === 0)
    return misuse(
      "cannot tell the gateway's admin port: its configuration lets it take any; say it with --admin (adminUrl of its log line `ready`)",
    );
  const isEverywhere = admin.host === '0.0.0.0' || admin.host === '::';
  const host = isEverywhere ? '127.0.0.1' : admin.host;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

async function withKeptToken(
  world: World,
  url: string,
  { config, hint }: Configured,
): Promise<AdminPlace | Refusal> {
  if (config?.admin.token !== undefined)
    return { url, token: config.admin.token, tokenFrom: 'of the configuration', hint };
  const folder = config?.dataDir ?? homeState(world);
  const where = 'say it with --token or SLUICE_ADMIN_TOKEN';
  if (folder === null)
    return misuse(
      `cannot find the admin token: there is no dataDir, and no HOME in the environment; ${where}`,
    );
  const path = tokenPath(folder);
  const more = hint === '' ? '' : ` (${hint})`;
  try {
    const token = (await world.runtime.files.readText(path)).trim();
    if (token !== '') return { url, token, tokenFrom: `in ${path}`, hint };
  } catch {
    return misuse(
      `cannot read the admin token in ${path}: start a gateway with \`sluice serve\`, which makes it, or ${where}${more}`,
    );
  }
  return misuse(`cannot use the admin token in ${path}: the file is empty; ${where}${more}`);
}
