// The chart library of the page, uPlot, as texts to be put into it.
// Called by run.ts and tests. Promises: reads files, changes nothing but the address in the library's banner, so that the page holds no link; null
// where the package is not installed, and then the page has its tables and bars only.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the page needs of the library. */
export interface ChartLibrary {
  /** Names the library, its version and its licence. */
  readonly notice: string;
  readonly script: string;
  readonly style: string;
}

const PACKAGE = join(import.meta.dir, '..', 'node_modules', 'uplot');

/** Loads it from `folder`, the package's own by default. */
export function loadCharts(folder: string = PACKAGE): ChartLibrary | null {
  try {
    // npm writes the file
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
    const script = readFileSync(join(folder, 'dist', 'uPlot.iife.min.js'), 'utf8');
    return {
      notice: `Curves by uPlot ${version}, MIT licence, © Leon Sorokin.`,
      script: script.replace('https://', ''),
      style: readFileSync(join(folder, 'dist', 'uPlot.min.css'), 'utf8'),
    };
  } catch {
    // Not installed: a page without curves is what is promised then.
    return null;
  }
}
