// Watching one file for changes of its content, whichever way it is written: in place, by a rename over it, through links that are turned.
// Called by files.ts. Promises: one call for a change since the watching began, once the file has held still for a moment; a change that the system does not tell
// of is found all the same.
import { type BigIntStats, statSync, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LIMITS } from '../base/limits.ts';

/** What a file looks like from outside; '' when it is not there. Links are followed: those of a mounted Kubernetes volume are turned when it changes. */
function lookOf(path: string): Promise<string> {
  return stat(path, { bigint: true }).then(spelled, () => '');
}

/** The same at once: whatever changes after this is a change. */
function lookNow(path: string): string {
  try {
    return spelled(statSync(path, { bigint: true }));
  } catch {
    return '';
  }
}

function spelled({ dev, ino, size, mtimeNs }: BigIntStats): string {
  return `${dev} ${ino} ${size} ${mtimeNs}`;
}

/** Watches the file until the function that it returns is called. */
export function watchFile(path: string, onChange: () => void): () => void {
  let told = lookNow(path);
  let last = told;
  let isOver = false;
  let isAlarmed = false;
  let timer: NodeJS.Timeout | null = null;
  const look = async (): Promise<void> => {
    isAlarmed = false;
    const now = await lookOf(path);
    if (isOver) return;
    // While it is being written it looks different each time; what holds still is told.
    if (now !== last) lookIn(LIMITS.reloadQuietMs);
    else {
      if (!isAlarmed) lookIn(LIMITS.reloadLookMs);
      if (now === told) return;
      told = now;
      onChange();
    }
    last = now;
  };
  const lookIn = (ms: number): void => {
    if (timer !== null) clearTimeout(timer);
    timer = setTimeout(() => void look(), ms);
    timer.unref();
  };
  // The folder, since a file that is replaced takes its own watch with it. Others in it may change all the time: they put no look off.
  const alarm = tellOf(dirname(path), () => {
    if (isOver || isAlarmed) return;
    isAlarmed = true;
    lookIn(LIMITS.reloadQuietMs / 2);
  });
  lookIn(LIMITS.reloadLookMs);
  return () => {
    isOver = true;
    if (timer !== null) clearTimeout(timer);
    alarm();
  };
}

/** The system's word that something in a folder has changed, where it gives it. */
function tellOf(folder: string, onEvent: () => void): () => void {
  try {
    const watcher = watch(folder, { persistent: false }, onEvent);
    watcher.on('error', () => watcher.close());
    return () => watcher.close();
  } catch {
    return () => undefined;
  }
}
