/** Requests a key when the server needs one, and stores it as the user chooses. */

import { useEffect, useRef, useState, type FormEvent, type ReactElement } from 'react';
import { type Keeping, pnlStore, usePnLStore } from 'pnl-client';
import { Dialog } from './Dialog';

const KEEPINGS: readonly (readonly [Keeping, string])[] = [
  ['page', 'Only until this page is closed'],
  ['tab', 'In this tab'],
  ['device', 'On this device'],
];

/** `onTry`: a key is being tried. */
export function KeyPrompt({ onTry, onClose }: { onTry: () => void; onClose: () => void }): ReactElement {
  const reason = usePnLStore((state) => state.keyWanted);
  const input = useRef<HTMLInputElement>(null);
  const busy = reason === null;
  const refused = !busy && pnlStore.credentials.get() !== null;
  const setKey = usePnLStore((state) => state.setKey);
  const [key, setText] = useState('');
  const [keeping, setKeeping] = useState<Keeping>('tab');

  function submit(event: FormEvent): void {
    event.preventDefault();
    if (key.trim() === '') return;
    onTry();
    setKey(key.trim(), keeping);
  }

  useEffect(() => {
    if (refused) input.current?.select();
  }, [refused]);

  return (
    <Dialog title="API key" onClose={onClose}>
      <p className="lead">This server shows its figures with a key only.{reason !== null && ` The server says: ${reason}.`}</p>
      <form onSubmit={submit}>
        <label className="field">
          <span>Key</span>
          <input
            ref={input}
            className="input"
            type="password"
            aria-invalid={refused}
            autoComplete="off"
            spellCheck={false}
            required
            value={key}
            onChange={(event) => setText(event.target.value)}
          />
        </label>
        {refused && (
          <p className="form-error" role="alert">
            The server does not accept this key. Check it, or ask the server's operator for another.
          </p>
        )}
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
          <button type="submit" className="button is-primary" disabled={busy}>
            {busy ? 'Trying the key' : 'Use this key'}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
