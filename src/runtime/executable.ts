// Whether a file is a program that may be run.
// Called by node-child.ts, when one could not be started, and by cli/doctor, beforehand. Promises: never throws; links are followed.
import { accessSync, constants, statSync } from 'node:fs';

/** True for a file that this process may execute; a folder is none. */
export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
