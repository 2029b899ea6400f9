/** A modal dialog by the browser's own element: it traps focus, closes on Escape and gives focus back. */

import { useEffect, useRef, type ReactElement, type ReactNode } from 'react';
import { CloseIcon } from './Icons';

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ReactNode;
}

export function Dialog({ title, onClose, children }: DialogProps): ReactElement {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = ref.current;
    if (dialog !== null && !dialog.open) dialog.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog ref={ref} className="dialog" aria-label={title} onCancel={(event) => (event.preventDefault(), onClose())}>
      <div className="dialog-head">
        <h2>{title}</h2>
        <button type="button" className="button is-icon" aria-label="Close" onClick={onClose}>
          <CloseIcon />
        </button>
      </div>
      {children}
    </dialog>
  );
}
