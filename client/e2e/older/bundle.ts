/** Bundles a page's program as a project with React would; the files that it imports may be texts. */

import { build, type Plugin } from 'esbuild';

export interface Program {
  /** JSX; its imports are looked up in `files` first, else among this project's packages. */
  readonly entry: string;
  /** JSX by the name that an import gives. */
  readonly files?: Readonly<Record<string, string>>;
  /** Expressions that stand for others, as a bundler replaces `import.meta.env`. */
  readonly define?: Readonly<Record<string, string>>;
}

const E2E = new URL('..', import.meta.url).pathname;

export async function bundle({ entry, files = {}, define = {} }: Program): Promise<string> {
  const { outputFiles, warnings } = await build({
    stdin: { contents: entry, resolveDir: E2E, loader: 'jsx', sourcefile: 'entry.jsx' },
    bundle: true,
    write: false,
    format: 'iife',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"', ...define },
    plugins: [texts(files)],
    logLevel: 'silent',
  });
  if (warnings.length > 0) throw new Error(warnings.map(({ text }) => text).join('\n'));
  return outputFiles[0]?.text ?? '';
}

function texts(files: Readonly<Record<string, string>>): Plugin {
  return {
    name: 'texts',
    setup(build) {
      build.onResolve({ filter: /^\./ }, ({ path }) => (path in files ? { path, namespace: 'text' } : undefined));
      build.onLoad({ filter: /./, namespace: 'text' }, ({ path }) => ({ contents: files[path] ?? '', loader: 'jsx', resolveDir: E2E }));
    },
  };
}
