/** Asks for a key when the server wants one, and keeps it where the person says. */

import { useState, type FormEvent, type ReactElement } from 'react';
import { usePnLStore } from '../pnlStore';
import type { Keeping } from '../store/credentials';
import { Dialog } from './Dialog';

const KEEPINGS: readonly (readonly [Keeping, string])[] = [
  ['page', 'Only until this page is closed'],
  ['tab', 'In this tab'],
  ['device', 'On this device'],
];

export function KeyPrompt({ onClose }: { onClose: () => void }): ReactElement {
  const reason = usePnLStore((state) => state.keyWanted);
  const setKey = usePnLStore((state) => state.setKey);
  const [key, setText] = useState('');
  const [keeping, setKeeping] = useState<Keeping>('tab');

  function submit(event: FormEvent): void {
    event.preventDefault();
    if (key.trim() !== '') setKey(key.trim(), keeping);
  }

  return (
    <Dialog title="API key" onClose={onClose}>
      <p className="lead">This server shows its figures to those who have a key. The server says: {reason}.</p>
      <form onSubmit={submit}>
        <label className="field">
          <span>Key</span>
          <input
            className="input"
            type="password"
            autoComplete="off"
            spellCheck={false}
            required
            value={key}
            onChange={(event) => setText(event.target.value)}
          />
        </label>
        <fieldset className="field">
          <legend>Keep it</legend>
          {KEEPINGS.map(([value, words]) => (
            <label key={value} className="choice">
              <input type="radio" name="keeping" checked={keeping === value} onChange={() => setKeeping(value)} />
              {words}
            </label>
          ))}
        </fieldset>
        <div className="dialog-foot">
          <button type="submit" className="button is-primary">
            Use this key
          </button>
        </div>
      </form>
    </Dialog>
  );
}
