// Which scanner an operator wants, as a word (SLUICE_SCAN, `scan` in the configuration).
// Called by scan.ts and the command line. Promises: knows the words and loads no scanner: the main thread needs none where threads serve.

/** The best there is, or one of the two and nothing else. */
export type ScanPreference = 'auto' | 'addon' | 'portable';

/** True for the words that a preference can be. */
export function isScanPreference(word: string): word is ScanPreference {
  return word === 'auto' || word === 'addon' || word === 'portable';
}
