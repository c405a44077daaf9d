// The dashboard's files at `/`: they hold no data, and run nothing that is not theirs.
// Called by app.ts. Promises: a strict content security policy; a browser that has a file already gets 304.
import type { Context } from 'hono';
import { GatewayError } from '../../base/errors.ts';
import type { Files } from '../../runtime/runtime.ts';
import { uiAsset } from './assets.ts';
import type { AdminApp, AdminEnv } from './operation.ts';

/** Scripts, styles and images of this host alone; nothing inline, no frame, no form elsewhere. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const YEAR_S = 31_536_000;

/** True for what a browser may fetch before it has logged in. */
export function isPagePath(path: string): boolean {
  return path === '/' || path.startsWith('/assets/');
}

/** Adds them. */
export function addDashboard(app: AdminApp, files: Files): void {
  const serve = async (c: Context<AdminEnv>): Promise<Response> => {
    const asset = await uiAsset(files, c.req.path);
    if (asset === null)
      throw new GatewayError('GW_SERVER_PATH', `there is no ${c.req.path.slice(0, 200)} here`);
    const { bytes, contentType, etag, isImmutable } = asset;
    const headers = {
      'content-type': contentType,
      'content-security-policy': POLICY,
      'cache-control': isImmutable ? `public, max-age=${YEAR_S}, immutable` : 'no-cache',
      etag,
    };
    if (c.req.header('if-none-match') === etag) return new Response(null, { status: 304, headers });
    return new Response(bytes, { status: 200, headers });
  };
  app.get('/', serve);
  app.get('/assets/*', serve);
}
