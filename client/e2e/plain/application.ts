/** A React application in a folder of its own that has the packed client installed: no Vite, no settings for a bundler. */

import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build, type Metafile } from 'esbuild';
import { expect } from 'vitest';

export const PACKAGE = new URL('../../packages/pnl-client/', import.meta.url).pathname;
const PAGES = new URL('.', import.meta.url).pathname;
const TSC = new URL('../../node_modules/.bin/tsc', import.meta.url).pathname;
const run = promisify(execFile);

/** The versions of the packages that the application has beside the client. */
export interface Versions {
  readonly react: string;
  readonly zustand: string;
  readonly types: string;
}

/** Those of this checkout. */
export const installed = (name: string): string => (createRequire(import.meta.url)(`${name}/package.json`) as { version: string }).version;

export interface Packed {
  readonly tarball: string;
  /** Where its files are, as an installation has them. */
  readonly folder: string;
  /** Their paths in it, sorted. */
  readonly files: readonly string[];
  dispose: () => void;
}

/** What `npm publish` would upload. */
export async function pack(): Promise<Packed> {
  const target = mkdtempSync(join(tmpdir(), 'pnl-packed-'));
  await run('npm', ['pack', '--pack-destination', target], { cwd: PACKAGE });
  const [name = ''] = readdirSync(target);
  const tarball = join(target, name);
  await run('tar', ['-xzf', tarball], { cwd: target });
  const folder = join(target, 'package');
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return {
    tarball,
    folder,
    files: files.map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1)).sort(),
    dispose: () => rmSync(target, { recursive: true, force: true }),
  };
}

export interface Application {
  readonly folder: string;
  /** Puts a file into it. */
  write: (path: string, content: string) => void;
  /** The program of a page, as esbuild makes it with no settings but that it is JSX of today. */
  bundle: (entry: string) => Promise<{ code: string; inputs: Metafile['inputs'] }>;
  /** What the compiler says of the pages, as strict as it can be. */
  typeErrors: (resolution: 'bundler' | 'nodenext') => Promise<string>;
  dispose: () => void;
}

export async function createApplication(tarball: string, { react, zustand, types }: Versions): Promise<Application> {
  const folder = mkdtempSync(join(tmpdir(), 'pnl-application-'));
  const dependencies = { react, 'react-dom': react, zustand, 'pnl-client': `file:${tarball}`, '@types/react': types, '@types/react-dom': types };
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'application', private: true, type: 'module', dependencies }));
  mkdirSync(join(folder, 'src'));
  for (const page of readdirSync(PAGES).filter((name) => name.endsWith('.tsx'))) cpSync(join(PAGES, page), join(folder, 'src', page));
  await run('npm', ['install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder });

  return {
    folder,
    write: (path, content) => writeFileSync(join(folder, path), content),
    async bundle(entry) {
      const { outputFiles, warnings, metafile } = await build({ absWorkingDir: folder, entryPoints: [entry], outdir: 'out', bundle: true, write: false, metafile: true, jsx: 'automatic', logLevel: 'silent' });
      expect(warnings).toEqual([]);
      return { code: outputFiles[0]?.text ?? '', inputs: metafile.inputs };
    },
    async typeErrors(resolution) {
      const module = resolution === 'bundler' ? 'esnext' : 'nodenext';
      const compilerOptions = { strict: true, noEmit: true, jsx: 'react-jsx', target: 'es2022', lib: ['es2022', 'dom', 'dom.iterable'], module, moduleResolution: resolution, types: [] };
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }));
      const said = await run(TSC, ['-p', '.'], { cwd: folder }).catch((error: { stdout?: string }) => ({ stdout: error.stdout ?? String(error) }));
      rmSync(join(folder, 'tsconfig.json'));
      return said.stdout;
    },
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export const readJson = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));
