/** Confirms a breaker's reset with the admin key, which is used once and not stored. */

import { useState, type FormEvent, type ReactElement } from 'react';
import { ApiError, usePnLStore } from 'pnl-client';
import { serviceWord } from '../lib/words';
import { Dialog } from './Dialog';

/** `service` null resets all of them. */
export function AdminKey({ service, onClose }: { service: string | null; onClose: () => void }): ReactElement {
  const resetBreaker = usePnLStore((state) => state.resetBreaker);
  const [key, setKey] = useState('');
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const what = service === null ? 'every breaker' : `the breaker of ${serviceWord(service)}`;

  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault();
    setBusy(true);
    try {
      await resetBreaker(service, key.trim() === '' ? null : key.trim());
      onClose();
    } catch (error) {
      setFailure(explain(error));
      setBusy(false);
    }
  }

  return (
    <Dialog title={`Reset ${what}`} onClose={onClose}>
      <p className="lead">The next call goes to the upstream at once. This needs the admin key, which is used once and not kept.</p>
      <form onSubmit={(event) => void submit(event)}>
        <label className="field">
          <span>Admin key</span>
          <input
            className="input"
            type="password"
            autoComplete="off"
            spellCheck={false}
            value={key}
            onChange={(event) => setKey(event.target.value)}
          />
        </label>
        {failure !== null && (
          <p className="form-error" role="alert">
            {failure}
          </p>
        )}
        <div className="dialog-foot">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="button is-primary" disabled={busy}>
            Reset
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function explain(error: unknown): string {
  if (error instanceof ApiError && error.needsKey) return `The server refused: ${error.message}. Nothing was reset; try another key.`;
  return `The reset did not go through (${error instanceof Error ? error.message : String(error)}). Try again.`;
}
