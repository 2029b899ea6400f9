/** Theme, locale, time zone, and where the key is stored. */

import { useMemo, type ReactElement } from 'react';
import { pnlStore, usePnLStore } from 'pnl-client';
import { LOCALES, prefer, useFormatter, usePreferences, type Theme } from '../lib/preferences';
import { timeZones } from '../lib/zones';
import { Dialog } from './Dialog';

const THEMES: readonly (readonly [Theme, string])[] = [
  ['auto', 'Automatic'],
  ['light', 'Light'],
  ['dark', 'Dark'],
];

const KEPT = { page: 'until this page is closed', tab: 'in this tab', device: 'on this device' } as const;

export function Settings({ onClose }: { onClose: () => void }): ReactElement {
  const { theme, locale, timeZone } = usePreferences();
  const zones = useMemo(timeZones, []);
  const format = useFormatter();
  const forgetKey = usePnLStore((state) => state.forgetKey);
  const keeping = pnlStore.credentials.keeping();
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (
    <Dialog title="Settings" onClose={onClose}>
      <fieldset className="field">
        <legend>Theme</legend>
        <div className="segments">
          {THEMES.map(([value, words]) => (
            <button key={value} type="button" aria-pressed={theme === value} onClick={() => prefer({ theme: value })}>
              {words}
            </button>
          ))}
        </div>
      </fieldset>
      <label className="field">
        <span>Numbers and dates</span>
        <select className="input" value={locale} onChange={(event) => prefer({ locale: event.target.value })}>
          <option value="auto">Automatic ({navigator.language})</option>
          {LOCALES.map(([tag, name]) => (
            <option key={tag} value={tag}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label className="field">
        <span>Time zone</span>
        <select className="input" value={timeZone} onChange={(event) => prefer({ timeZone: event.target.value })}>
          <option value="auto">Automatic ({own.replaceAll('_', ' ')})</option>
          {zones.map((zone) => (
            <option key={zone} value={zone}>
              {zone.replaceAll('_', ' ')}
            </option>
          ))}
        </select>
      </label>
      <p className="lead">
        It is {format.dateTime(Date.now())}; a sum looks like {format.money(-1234.5)}.
      </p>
      {keeping !== null && (
        <p className="lead">
          The API key is kept {KEPT[keeping]}.{' '}
          <button
            type="button"
            className="button"
            onClick={() => {
              onClose();
              forgetKey();
            }}
          >
            Forget the key
          </button>
        </p>
      )}
    </Dialog>
  );
}
