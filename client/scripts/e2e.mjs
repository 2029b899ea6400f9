/** Runs the end-to-end tests: Debian's chromium is installed when it is missing and we may, the dashboard is built. */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const CLIENT = new URL('..', import.meta.url).pathname;
const chromium = process.env.CHROMIUM ?? '/usr/bin/chromium';
const python = process.env.PNL_PYTHON ?? `${CLIENT}../.venv/bin/python`;

function run(command, args) {
  const { status } = spawnSync(command, args, { cwd: CLIENT, stdio: 'inherit', env: { ...process.env, CHROMIUM: chromium, PNL_PYTHON: python } });
  if (status !== 0) process.exit(status ?? 1);
}

function stop(message) {
  console.error(message);
  process.exit(1);
}

if (!existsSync(chromium)) {
  if (process.getuid?.() !== 0) stop(`${chromium} is missing: install chromium, or name it in CHROMIUM`);
  run('apt-get', ['update', '-qq']);
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium']);
}
if (!existsSync(python)) stop(`${python} is missing: run "make test" once, or name a python in PNL_PYTHON`);
run('npm', ['run', '--silent', 'build']);
run('npx', ['vitest', 'run', '--config', 'vitest.e2e.config.ts', ...process.argv.slice(2)]);
