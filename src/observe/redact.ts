// Takes secrets out of what is about to be logged: values of names that say so, and texts that look like one.
// Called by log.ts (every text of a line) and server/access-log.ts (arguments). Promises: pure; never longer than what it was given by more than the marks; a
// value that is redacted leaves none of itself.

/** What stands in a secret's place. */
export const REDACTED = '[redacted]';

/** Names whose values are nobody's business, wherever they stand. */
const SECRET_NAME =
  /pass(?:word|wd|phrase)|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|authori[sz]ation|cookie|credential|session[-_]?id|signature/i;

/**
 * What gives a secret away by its looks: authorization schemes, JSON Web Tokens, keys of well-known issuers, PEM blocks, credentials in URLs, and query
 * parameters with a telling name.
 */
const SECRET_TEXTS: readonly (readonly [RegExp, string])[] = [
  [/\b(Bearer|Basic|Digest) +[\w+/=.~-]{6,}/gi, `$1 ${REDACTED}`],
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, REDACTED],
  [/\b(?:sk|pk|rk)[-_](?:live|test|proj|ant)?[-_]?[\w-]{16,}/g, REDACTED],
  [/\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}/g, REDACTED],
  [/\bAKIA[0-9A-Z]{16}\b|\bAIza[\w-]{35}/g, REDACTED],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?/g, REDACTED],
  [/(\w+:\/\/[^\s/:@]*:)[^\s/@]+@/g, `$1${REDACTED}@`],
  [/([?&;][\w.-]*(?:pass|secret|token|key|auth|sig|code)[\w.-]*=)[^&;#\s"]+/gi, `$1${REDACTED}`],
];
/** Every text that any of those fits has one of these: most lines have none, and cost one look. */
const SUSPICIOUS =
  /bearer|basic |digest |eyJ|[spr]k[-_]|gh[pousr]_|github_pat|glpat|xox|AKIA|AIza|-----BEGIN|:\/\/|[?&;]/i;

/** The text without what looks like a secret. */
export function redactText(text: string): string {
  if (!SUSPICIOUS.test(text)) return text;
  return SECRET_TEXTS.reduce((rest, [pattern, mark]) => rest.replace(pattern, mark), text);
}

/** Says whether values of a name are to be hidden. */
export type NameRule = (name: string) => boolean;

/** The rule of the names above and of others: whole names without regard to case, `*` for any text. */
export function nameRule(more: readonly string[]): NameRule {
  const others = more.map((name) => new RegExp(`^${name.split('*').map(escaped).join('.*')}$`, 'i'));
  return (name) => SECRET_NAME.test(name) || others.some((pattern) => pattern.test(name));
}

function escaped(text: string): string {
  return text.replace(/[\\^$.|?+()[\]{}]/g, '\\$&');
}

/** A JSON value without the values of hidden names and without texts that look like secrets. `depthMax` levels are kept. */
export function redactValue(value: unknown, isHidden: NameRule, depthMax = 16): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depthMax === 0) return '…';
  if (Array.isArray(value)) return value.map((one) => redactValue(one, isHidden, depthMax - 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      name,
      isHidden(name) ? REDACTED : redactValue(one, isHidden, depthMax - 1),
    ]),
  );
}
