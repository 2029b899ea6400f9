/** The tests that need the real server and a real browser: `npm run e2e`. E2E_WORKERS files run beside each other. */

import { basename } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Two browsers and their servers wait for each other seldom on two cores: most of a test is waiting for updates and retries. */
const WORKERS = Number(process.env['E2E_WORKERS'] ?? 2);

/** These take longest, so they start first; the order of the others does not matter. */
const FIRST = ['tabs', 'olderDocuments', 'package', 'weather', 'older', 'resilience', 'dashboard'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const at = FIRST.indexOf(basename(moduleId, '.test.ts'));
      return at < 0 ? FIRST.length : at;
    };
    return [...files].sort((a, b) => place(a) - place(b));
  }
}

export default defineConfig({
  test: {
    include: ['e2e/**/*.test.ts'],
    maxWorkers: WORKERS,
    sequence: { sequencer: LongestFirst },
    testTimeout: 90_000,
    hookTimeout: 90_000,
  },
});
