import { can, isAdmin } from "../session";
import { Checkbox, Dialog } from "../ui";
import { CLUSTER, MAP } from "./pages";
import { shortcuts, switchShortcuts } from "./shortcuts";

/** The shortcuts, and where more is written. */
export function Help({ onClose }: { onClose(): void }) {
  const places = [...(isAdmin() ? CLUSTER : []), ...MAP.filter((page) => can(...page.scopes))];
  const licenses = document.querySelector<HTMLMetaElement>('meta[name="waypost-licenses"]')?.content;
  return (
    <Dialog title="Shortcuts" onClose={onClose}>
      <Checkbox label="Single keys do something" checked={shortcuts.value} onChange={switchShortcuts} />
      <div class="shortcuts">
        <kbd>/</kbd> <span>Search on this page, or choose a map</span>
        <kbd>?</kbd> <span>These shortcuts</span>
        {places.map(
          (place) =>
            place.shortcut !== undefined && [
              <span key={`${place.key}-keys`}>
                <kbd>g</kbd> <kbd>{place.shortcut}</kbd>
              </span>,
              <span key={place.key}>{place.title}</span>,
            ],
        )}
        <span>
          <kbd>↑</kbd> <kbd>↓</kbd>
        </span>
        <span>Go to the rows of the page's table and move between them; Enter opens one</span>
        <kbd>p</kbd> <span>Pause the live tail, and go on; in its list the space bar does it, too</span>
        <span>
          <kbd>Ctrl</kbd> <kbd>Space</kbd>
        </span>
        <span>In a filter: what can stand at the caret</span>
        <kbd>Esc</kbd> <span>Close what is open</span>
      </div>
      <p class="hint">
        <a href="/docs/">Documentation</a> · <a href="/docs/api">API</a>
        {licenses !== undefined && (
          <>
            {" · "}
            <a href={licenses}>Licenses of libraries</a>
          </>
        )}
      </p>
    </Dialog>
  );
}
