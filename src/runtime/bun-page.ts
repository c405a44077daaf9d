// Makes the files of a web page from its sources with Bun's bundler.
// Called by scripts/bundle.ts for what is installed, and by control/admin/assets.ts in a checkout that has no bundle. Promises: text files only, whose names hold a
// digest of what is in them, but for the page itself; nothing is written anywhere.

/** A file that the page is made of. */
export interface PageFile {
  /** Without a folder. */
  readonly name: string;
  readonly text: string;
}

/** The files of the page that begins with an HTML file at `entry`; they name each other under `base`. Rejects with the bundler's error. */
export async function bundlePage(entry: string, base: string): Promise<readonly PageFile[]> {
  const built = await Bun.build({
    entrypoints: [entry],
    target: 'browser',
    format: 'esm',
    minify: true,
    publicPath: base,
    define: { 'process.env.NODE_ENV': '"production"' },
    naming: { entry: '[name].[ext]', chunk: '[name]-[hash].[ext]', asset: '[name]-[hash].[ext]' },
  });
  return Promise.all(
    built.outputs.map(async (output) => ({
      name: output.path.slice(output.path.lastIndexOf('/') + 1),
      text: await output.text(),
    })),
  );
}
