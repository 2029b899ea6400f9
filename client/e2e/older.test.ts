/** Clients of the older shapes in a real browser: figures move, charts keep their points, the console stays empty, over a restart. */

import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectToMove } from './older/expectations';
import { fences } from './older/markdown';
import { OWN_PAGES } from './older/ownPages';
import { setStage, runsOf, type Outcome, type Stage } from './older/stage';

let stage: Stage;
let outcomes: Map<string, Outcome>;

beforeAll(async () => {
  stage = await setStage(OWN_PAGES);
  outcomes = await stage.play(OWN_PAGES);
}, 240_000);
afterAll(() => stage?.close());

it.each(runsOf(OWN_PAGES))('$name', ({ page, network, name }) => expectToMove(page, network, outcomes.get(name) as Outcome));

it('finds the programs of a document by heading and language', () => {
  const markdown = ['# One', '```sh', '# no heading', '```', '## 2. Two', '```js', 'a', 'b', '```', '```', 'c', '```'].join('\n');
  expect(fences(markdown)).toEqual([
    { heading: 'One', language: 'sh', code: '# no heading\n' },
    { heading: '2. Two', language: 'js', code: 'a\nb\n' },
    { heading: '2. Two', language: '', code: 'c\n' },
  ]);
});
