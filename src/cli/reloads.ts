// What a running gateway takes up while it runs: its configuration file, at once and on SIGHUP, and its registry.
// Called by lifecycle.ts. Promises: the file and the registry are one configuration, put in force by one reloader; nothing is watched any more once end() was called.

import type { Settings, Wanted } from '../control/plan.ts';
import type { LiveRegistry } from '../control/registry/live-registry.ts';
import { type ReloadCause, Reloader, type ReloaderParts } from '../control/reload.ts';
import type { Gateway } from '../gateway.ts';
import type { Log } from '../observe/log.ts';
import type { World } from './world.ts';

/** Where a gateway's configuration comes from, besides the command line. */
export interface Sources {
  /** The file, and how to read it anew; left out: there is none. */
  readonly source?: { readonly path: string; readonly load: () => Promise<Wanted | readonly string[]> };
  /** Left out: there is none. */
  readonly registry?: LiveRegistry;
}

/** The reloads of one gateway. */
export interface Reloads {
  readonly reloader: Reloader;
  /** The configuration as it is now, whatever is in force. */
  readonly load: ReloaderParts['load'];
  end(): void;
}

/** Begins to take up what changes. `running` is what the gateway was started with. */
export function followSources(
  world: World,
  { source, registry }: Sources,
  { gateway, log, running }: { readonly gateway: Gateway; readonly log: Log; readonly running: Settings },
): Reloads {
  const { files, clock } = world.runtime;
  const load = async (cause: ReloadCause): Promise<Wanted | readonly string[]> => {
    const base = cause === 'registry' || source === undefined ? null : await source.load();
    if (base !== null && !('config' in base)) return base;
    return registry === undefined ? (base ?? running) : registry.merge(base);
  };
  const apply: ReloaderParts['apply'] = (snapshot) => gateway.reload(snapshot);
  const reloader = new Reloader({ load, apply, env: world.env, log, clock }, running);
  registry?.attach({
    running: () => reloader.running,
    plan: (wanted) => reloader.plan(wanted),
    reload: () => reloader.request('registry'),
  });
  if (source === undefined) return { reloader, load, end: () => undefined };
  world.onReloadSignal(() => void reloader.request('signal'));
  const end = files.watch(source.path, () => void reloader.request('file'));
  // It may have changed while the gateway started.
  void reloader.request('file');
  return { reloader, load, end };
}
