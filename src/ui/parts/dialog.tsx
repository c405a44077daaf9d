// A window over the page, and the question before something that cannot be taken back.
// Called by views. Promises: the browser's own <dialog>: the focus stays inside and goes back, Escape closes.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';

/** What a window shows. */
export interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
  /** From the side, for things that are looked at beside a list. */
  readonly isSide?: boolean;
}

/** A window; it is open as long as it is drawn. */
export function Dialog({ title, onClose, children, isSide = false }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={element}
      class={isSide ? 'side' : ''}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <header class="dialog-head">
        <h2 id={id} tabIndex={-1} autofocus>
          {title}
        </h2>
        <button type="button" class="quiet" aria-label="Close" onClick={onClose}>
          ×
        </button>
      </header>
      {children}
    </dialog>
  );
}

/** What a question asks. */
export interface ConfirmProps {
  readonly title: string;
  readonly children: ComponentChildren;
  /** The word on the button that does it. */
  readonly verb: string;
  readonly isBusy?: boolean;
  readonly onYes: () => void;
  readonly onNo: () => void;
}

/** Asks before something is done. */
export function Confirm({ title, children, verb, isBusy = false, onYes, onNo }: ConfirmProps) {
  return (
    <Dialog title={title} onClose={onNo}>
      <div class="dialog-body">{children}</div>
      <footer class="dialog-foot">
        <button type="button" onClick={onNo}>
          Cancel
        </button>
        <button type="button" class="danger" disabled={isBusy} onClick={onYes}>
          {verb}
        </button>
      </footer>
    </Dialog>
  );
}
