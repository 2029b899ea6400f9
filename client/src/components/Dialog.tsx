/** A modal dialog with the browser's own element: it keeps the focus inside, closes on Escape and restores the focus. */

import { useLayoutEffect, useRef, type ReactElement, type ReactNode } from 'react';
import { CloseIcon } from './Icons';

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ReactNode;
}

export function Dialog({ title, onClose, children }: DialogProps): ReactElement {
  const ref = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const dialog = ref.current;
    if (dialog !== null && !dialog.open) {
      dialog.showModal();
      dialog.querySelector<HTMLElement>('.dialog-body :is(input, select, button)')?.focus();
    }
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
      <div className="dialog-body">{children}</div>
    </dialog>
  );
}
