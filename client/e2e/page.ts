/** What the browser tests ask of a page. */

import type { Page } from 'playwright-core';
import { until } from './browser';

export const text = (page: Page, testId: string) => async (): Promise<string> => (await page.getByTestId(testId).first().textContent({ timeout: 20_000 })) ?? '';
export const transport = (page: Page) => async (): Promise<string | null> => page.getByTestId('badge').getAttribute('data-transport');
export const live = (page: Page): Promise<string | null> => until(transport(page), (name) => name === 'websocket');
export const asOf = (page: Page) => (): Promise<string | null> => page.getByTestId('asof').getAttribute('datetime');
export const state = (page: Page) => async (): Promise<string | null> => page.getByTestId('badge').getAttribute('data-state');
export const word = (page: Page) => async (): Promise<string> => (await page.locator('.badge-word').textContent()) ?? '';
