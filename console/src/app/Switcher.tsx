import { useRef, useState } from "preact/hooks";
import { readMaps, search, type Found } from "../maps";
import { go, href, route } from "../router";
import { isAdmin, session } from "../session";
import { Dialog, Fault, Field, Loading, useResource } from "../ui";
import { MAP } from "./pages";

/** The maps that are shown at once. */
const SHOWN = 50;

/** Chooses a map. The page stays the same where both have it. */
export function Switcher({ onClose }: { onClose(): void }) {
  const [text, setText] = useState("");
  const list = useRef<HTMLUListElement>(null);
  const all = useResource((signal) => (isAdmin() ? readMaps(signal) : Promise.resolve(ownMaps())), []);
  const found = search(all.data?.maps ?? [], text);
  const [first, , third] = route.value.path;
  const page = first === "maps" && MAP.some((one) => one.key === third && one.hidden !== true) ? third : "overview";
  const to = (map: string) => ["maps", map, page ?? "overview"];
  const enter = (event: KeyboardEvent) => {
    const best = found[0];
    if (event.key === "Enter") {
      if (best !== undefined) go(to(best.slug ?? best.id));
      else if (text.trim() !== "") go(to(text.trim()));
      onClose();
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      list.current?.querySelector("a")?.focus();
    }
  };
  return (
    <Dialog title="Choose a map" onClose={onClose}>
      <Field
        label="Search by name, slug or id"
        type="search"
        value={text}
        onInput={setText}
        onKeyDown={enter}
        autofocus
      />
      <Fault error={all.error} retry={all.reload} />
      {all.data === undefined && all.error === undefined && <Loading />}
      <ul class="choices" ref={list} onKeyDown={move}>
        {found.slice(0, SHOWN).map((map) => (
          <li key={map.id}>
            <a href={href(to(map.slug ?? map.id))} onClick={onClose}>
              <span>{map.slug ?? map.id}</span>
              <span class="muted">{map.name}</span>
            </a>
          </li>
        ))}
      </ul>
      <p class="hint" role="status">
        {found.length > SHOWN && `${found.length - SHOWN} more. `}
        {all.data?.cut === true && "Not all maps were read: type the whole slug or id, and Enter. "}
        {all.data !== undefined && found.length === 0 && "No map has this in its name, slug or id."}
      </p>
    </Dialog>
  );
}

function move(event: KeyboardEvent): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  const links = [...(event.currentTarget as HTMLElement).querySelectorAll("a")];
  const at = links.indexOf(document.activeElement as HTMLAnchorElement);
  links[Math.max(0, Math.min(links.length - 1, at + step))]?.focus();
}

/** Those of a person who is no admin. */
function ownMaps(): { maps: Found[]; cut: boolean } {
  return { maps: session().maps.map(({ id, slug, name }) => ({ id, slug, name: name ?? "" })), cut: false };
}
