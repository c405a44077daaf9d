// File paths as text, without asking the file system.
// Called by load.ts and cli/. Promises: pure; POSIX rules (`/` parts names), `.` and `..` are taken out.

/** `path` seen from `directory` (both POSIX); an absolute path is only tidied. */
export function resolvePath(directory: string, path: string): string {
  const whole = path.startsWith('/') ? path : `${directory}/${path}`;
  const parts: string[] = [];
  for (const part of whole.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

/** Directory that holds a file; '/' for one in the root. */
export function directoryOf(path: string): string {
  const cut = path.lastIndexOf('/');
  return cut <= 0 ? '/' : path.slice(0, cut);
}
