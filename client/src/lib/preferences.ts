/** The user's settings: theme, locale and time zone, stored on the device; "auto" follows the browser. */

import { useMemo } from 'react';
import { useStore } from 'zustand';
import { createStore } from 'zustand/vanilla';
import { isTimeZone, type Range, RANGES } from 'pnl-client';
import { createFormatter, type Formatter } from './format';

export type Theme = 'auto' | 'light' | 'dark';

export interface Preferences {
  theme: Theme;
  /** A BCP 47 tag, or `auto`. */
  locale: string;
  /** An IANA zone, or `auto`. */
  timeZone: string;
  /** The range of the trend where the address has none. */
  range: Range;
}

const NAME = 'pnl-preferences';
const DEFAULTS: Preferences = { theme: 'auto', locale: 'auto', timeZone: 'auto', range: 'today' };

export const LOCALES: readonly (readonly [string, string])[] = [
  ['en-US', 'English (US)'],
  ['en-GB', 'English (UK)'],
  ['de-DE', 'Deutsch'],
  ['fr-FR', 'Français'],
  ['es-ES', 'Español'],
  ['it-IT', 'Italiano'],
  ['nl-NL', 'Nederlands'],
  ['pl-PL', 'Polski'],
  ['pt-BR', 'Português (Brasil)'],
  ['sv-SE', 'Svenska'],
  ['ja-JP', '日本語'],
  ['zh-CN', '中文'],
];

export const preferences = createStore<Preferences>()(() => load());

export function prefer(change: Partial<Preferences>): void {
  preferences.setState(change);
  try {
    localStorage.setItem(NAME, JSON.stringify(preferences.getState()));
  } catch {
    // The choice then lasts as long as the page.
  }
}

export const usePreferences = (): Preferences => useStore(preferences);

/** The zone in force: the chosen one, or the browser's. */
export function useTimeZone(): string {
  return zoneOf(useStore(preferences, ({ timeZone }) => timeZone));
}

export function useFormatter(): Formatter {
  const { locale, timeZone } = usePreferences();
  return useMemo(() => createFormatter(locale === 'auto' ? undefined : locale, zoneOf(timeZone)), [locale, timeZone]);
}

/** As `useFormatter`, for days: in the business zone, whatever the reader's. */
export function useDayFormatter(zone: string): Formatter {
  const { locale } = usePreferences();
  return useMemo(() => createFormatter(locale === 'auto' ? undefined : locale, zone), [locale, zone]);
}

/** Forgets every choice of this person. */
export function forgetPreferences(): void {
  try {
    localStorage.removeItem(NAME);
  } catch {
    // What cannot be reached is not read either.
  }
}

/** Puts the theme on the root element, where the sheet of tokens looks for it. */
export function applyTheme(root: HTMLElement): () => void {
  const put = ({ theme }: Preferences): void => {
    if (theme === 'auto') root.removeAttribute('data-theme');
    else root.setAttribute('data-theme', theme);
  };
  put(preferences.getState());
  return preferences.subscribe(put);
}

function zoneOf(timeZone: string): string {
  return timeZone === 'auto' ? Intl.DateTimeFormat().resolvedOptions().timeZone : timeZone;
}

function load(): Preferences {
  try {
    const kept = JSON.parse(localStorage.getItem(NAME) ?? '{}') as Partial<Preferences>;
    return {
      theme: kept.theme === 'light' || kept.theme === 'dark' ? kept.theme : DEFAULTS.theme,
      locale: LOCALES.some(([tag]) => tag === kept.locale) ? (kept.locale as string) : DEFAULTS.locale,
      timeZone: kept.timeZone !== undefined && isTimeZone(kept.timeZone) ? kept.timeZone : DEFAULTS.timeZone,
      range: RANGES.find((range) => range === kept.range) ?? DEFAULTS.range,
    };
  } catch {
    return DEFAULTS;
  }
}
