// A button that puts a text on the clipboard.
// Called by views. Promises: says that it did; where the browser gives no clipboard (plain http beyond this machine) the text is shown to be copied by hand.
import { useState } from 'preact/hooks';
import { Dialog } from './dialog.tsx';
import { Icon } from './icon.tsx';
import { say } from './notice.tsx';

/** `text` is made when it is asked for. */
export function CopyButton({ label, text }: { readonly label: string; readonly text: () => string }) {
  const [byHand, setByHand] = useState<string | null>(null);
  const copy = (): void => {
    const value = text();
    // only pages of this machine or over https have a clipboard
    const done = navigator.clipboard?.writeText(value) ?? Promise.reject(new TypeError('no clipboard'));
    done.then(
      () => say('Copied'),
      () => setByHand(value),
    );
  };
  return (
    <>
      <button type="button" onClick={copy}>
        <Icon name="copy" />
        {label}
      </button>
      {byHand === null ? null : (
        <Dialog title={label} onClose={() => setByHand(null)}>
          <div class="dialog-body">
            <textarea class="code" readOnly rows={10} aria-label={label} value={byHand} />
          </div>
        </Dialog>
      )}
    </>
  );
}
