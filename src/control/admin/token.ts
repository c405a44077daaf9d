// The admin token: the configuration's, else the one in the gateway's data, else a new one.
// Called by cli/admin.ts, and by cli/operate/ to find it. Promises: a new one has 256 random bits and lies in a file for this user alone (mode 0600); gateways that start together end up with the
// same; never rejects: what cannot be kept is made anew at each start, and the log says why.
import type { Log } from '../../observe/log.ts';
import type { Runtime } from '../../runtime/runtime.ts';

/** A token, and whether its user has still to be told. */
export interface AdminToken {
  readonly token: string;
  readonly isNew: boolean;
}

/** What making a token takes of the world. */
export interface TokenTools extends Pick<Runtime, 'files' | 'random'> {
  readonly log: Log;
}

const TOKEN_BYTES = 32;
/** What a file of ours holds; anything else there was put by somebody. */
const TOKEN = /^[\x21-\x7e]{16,512}$/;

/** Path of the file that holds the token, in the gateway's data. */
export function tokenPath(folder: string): string {
  return `${folder}/admin.token`;
}

/** The token to use; `folder` is where data is kept, null: nowhere. */
export async function adminToken(
  tools: TokenTools,
  { configured, folder }: { readonly configured: string | undefined; readonly folder: string | null },
): Promise<AdminToken> {
  if (configured !== undefined) return { token: configured, isNew: false };
  const fresh = newToken(tools);
  if (folder === null) return { token: fresh, isNew: true };
  const path = tokenPath(folder);
  const kept = await readToken(tools, path);
  if (kept !== null) return { token: kept, isNew: false };
  try {
    await tools.files.makePrivateFolder(folder);
    await tools.files.createPrivate(path, `${fresh}\n`);
    return { token: fresh, isNew: true };
  } catch (thrown) {
    // Another gateway may have made one meanwhile.
    const made = await readToken(tools, path);
    if (made !== null) return { token: made, isNew: false };
    tools.log.warn('the admin token cannot be kept: it is another one after a restart', {
      file: path,
      reason: thrown instanceof Error ? thrown.message : String(thrown),
    });
    return { token: fresh, isNew: true };
  }
}

function newToken({ random }: TokenTools): string {
  return random.bytes(TOKEN_BYTES).toBase64({ alphabet: 'base64url', omitPadding: true });
}

async function readToken({ files }: TokenTools, path: string): Promise<string | null> {
  const text = await files.readText(path).catch(() => null);
  const token = text?.trim() ?? '';
  return TOKEN.test(token) ? token : null;
}
