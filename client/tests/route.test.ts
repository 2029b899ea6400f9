import { expect, it } from 'vitest';
import { rangeOf, routeOf } from '../src/lib/route';

it('the address names the page and the range', () => {
  expect(['', '#/', '#/?range=week', '#/system', '#/system?x=1', '#/elsewhere'].map(routeOf)).toEqual(['overview', 'overview', 'overview', 'system', 'system', 'overview']);
  expect(['#/?range=week', '#/?range=decade', '#/', ''].map(rangeOf)).toEqual(['week', null, null, null]);
});
