import { useEffect, useRef } from "preact/hooks";
import { cluster, called } from "../cluster";
import { href, route } from "../router";
import { explain } from "../api";
import { counted } from "../lib/words";
import { can, canSwitch, isAdmin, session, signOut, type MapRef } from "../session";
import { Badge, Button, Icon, Select, choose, say, theme, useAction, type Theme } from "../ui";
import { toneOf } from "../pages/cluster/health";
import { Mark } from "./Mark";
import { CLUSTER, MAP } from "./pages";

interface Props {
  /** On a phone: whether it is shown. */
  open: boolean;
  map: MapRef | null;
  onSwitch(): void;
  onHelp(): void;
  onClose(): void;
}

/** The navigation. */
export function Side(props: Props) {
  const { map } = props;
  const side = useRef<HTMLElement>(null);
  useEffect(() => {
    if (props.open) side.current?.querySelector("a")?.focus();
  }, [props.open]);
  const [first, second, third = "overview"] = route.value.path;
  const inMap = first === "maps" && second !== undefined;
  const home = isAdmin() ? href(["cluster"]) : href(["maps", session().map?.slug ?? "", "overview"]);
  return (
    <aside
      ref={side}
      class={props.open ? "side open" : "side"}
      aria-label="Navigation"
      onKeyDown={(event) => event.key === "Escape" && props.onClose()}
    >
      <div class="row spread">
        <a class="brand" href={home}>
          <Mark /> Waypost
        </a>
        {props.open && <Button kind="quiet" icon="close" label="Close the navigation" onClick={props.onClose} />}
      </div>
      {isAdmin() && (
        <nav class="nav" aria-label="Cluster">
          {CLUSTER.map((place) => (
            <a
              key={place.key}
              href={href([place.key])}
              aria-current={!inMap && first === place.key ? "page" : undefined}
            >
              {place.title}
              {place.key === "cluster" && <Problems />}
            </a>
          ))}
        </nav>
      )}
      <div class="stack-tight">
        {canSwitch() ? (
          <button type="button" class="switcher" onClick={props.onSwitch} aria-haspopup="dialog">
            <span>{map?.slug ?? "Choose a map"}</span>
            <Icon name="down" />
          </button>
        ) : (
          map !== null && (
            <p>
              <strong>{map.slug}</strong>
            </p>
          )
        )}
        {map !== null && (
          <nav class="nav" aria-label={`Map ${map.slug}`}>
            {MAP.filter((page) => page.hidden !== true && can(...page.scopes)).map((page) => (
              <a
                key={page.key}
                href={href(["maps", map.slug, page.key])}
                aria-current={inMap && isCurrent(page.key, third) ? "page" : undefined}
              >
                {page.title}
              </a>
            ))}
          </nav>
        )}
      </div>
      <Foot onHelp={props.onHelp} />
    </aside>
  );
}

/** The timeline of an event belongs to the tail. */
function isCurrent(key: string, shown: string): boolean {
  return key === shown || (key === "tail" && shown === "events");
}

function Problems() {
  const all = cluster.value?.problems ?? [];
  const tones = all.map(toneOf).filter((tone) => tone !== "info");
  if (tones.length === 0) return null;
  return <Badge tone={tones.includes("bad") ? "bad" : "warn"}>{counted(tones.length, "problem")}</Badge>;
}

const THEMES: readonly { value: Theme; label: string }[] = [
  { value: "system", label: "As the system" },
  { value: "light", label: "Light" },
  { value: "dark", label: "Dark" },
];

function Foot({ onHelp }: { onHelp(): void }) {
  const { busy, run } = useAction();
  const status = cluster.value;
  const out = () => run(() => signOut().catch((error: unknown) => say(explain(error), "bad")));
  return (
    <div class="side-foot">
      {status !== null && <p>Asking {called({ id: status.node_id, name: status.node_name })}</p>}
      <Select label="Colours" value={theme.value} onChange={choose} options={THEMES} />
      <div class="row spread">
        <Button small kind="quiet" onClick={onHelp}>
          Shortcuts
        </Button>
        <Button small kind="quiet" busy={busy} onClick={out}>
          Sign out
        </Button>
      </div>
    </div>
  );
}
