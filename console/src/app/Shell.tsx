import { Component, type ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { lost } from "../api";
import { EVERY, readCluster } from "../cluster";
import { findMap, lastMap } from "../maps";
import { go, route } from "../router";
import { can, canSwitch, isAdmin, mapRef, ownMap, type MapRef, type Session } from "../session";
import { Button, Fault, Loading, PageHead, useResource } from "../ui";
import { Help } from "./Help";
import { LostBanner } from "./LostBanner";
import { Mark } from "./Mark";
import { CLUSTER, MAP } from "./pages";
import { listen } from "./shortcuts";
import { Side } from "./Side";
import { Switcher } from "./Switcher";

/** The frame: the navigation, and the page that the address names. */
export function Shell({ session }: { session: Session }) {
  const [open, setOpen] = useState(false);
  const [dialog, setDialog] = useState<"help" | "switch" | null>(null);
  const path = route.value.path;
  const where = path.join("/");
  useEffect(() => {
    if (path.length === 0) go(session.map === null ? ["cluster"] : ["maps", session.map.slug, "overview"], {}, true);
    setOpen(false);
    setDialog(null);
    document.getElementById("page-title")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [where]);
  useEffect(
    () =>
      listen({
        go: (key) => jump(key, session.map),
        help: () => setDialog("help"),
        search: () => canSwitch() && setDialog("switch"),
      }),
    [session],
  );
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={toMain}>
        Skip to the page
      </a>
      {isAdmin() && <Watch csrf={session.csrf} />}
      <header class="topbar">
        <Button kind="quiet" icon="menu" label="Navigation" expanded={open} onClick={() => setOpen(!open)} />
        <span class="row">
          <Mark /> <strong>{shownMap(session)?.slug ?? "Waypost"}</strong>
        </span>
        <Button
          kind="quiet"
          icon="search"
          label="Choose a map"
          onClick={() => setDialog("switch")}
          disabled={!canSwitch()}
        />
      </header>
      {open && <div class="shade" onClick={() => setOpen(false)} />}
      <Side
        open={open}
        map={shownMap(session)}
        onSwitch={() => setDialog("switch")}
        onHelp={() => setDialog("help")}
        onClose={() => setOpen(false)}
      />
      <main class="main" id="main" tabIndex={-1}>
        <LostBanner />
        <div class={lost.value === null ? "content" : "content stale"}>
          <Boundary key={`${where} ${session.csrf}`}>
            <Where session={session} />
          </Boundary>
        </div>
      </main>
      {dialog === "help" && <Help onClose={() => setDialog(null)} />}
      {dialog === "switch" && <Switcher onClose={() => setDialog(null)} />}
    </div>
  );
}

function toMain(event: MouseEvent): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** The map that the navigation is about. */
function shownMap(session: Session): MapRef | null {
  const [first, second] = route.value.path;
  if (session.map !== null) return (first === "maps" ? ownMap(second) : null) ?? session.map;
  const slug = first === "maps" && second !== undefined ? second : lastMap.value;
  return slug === null ? null : { id: slug, slug, name: null };
}

/** Reads the state of the cluster as long as the frame stands. */
function Watch({ csrf }: { csrf: string }) {
  useResource(readCluster, [csrf], EVERY);
  return null;
}

function jump(key: string, own: MapRef | null): void {
  const place = CLUSTER.find((one) => one.shortcut === key);
  if (place !== undefined && isAdmin()) return go([place.key]);
  const [first, second] = route.peek().path;
  const map = (first === "maps" ? second : undefined) ?? own?.slug ?? lastMap.peek();
  const page = MAP.find((one) => one.shortcut === key);
  if (page !== undefined && map !== null && map !== undefined && can(...page.scopes)) go(["maps", map, page.key]);
  return undefined;
}

function Where({ session }: { session: Session }) {
  const [first, second, third = "overview", ...rest] = route.value.path;
  if (first === "maps" && second !== undefined)
    return <OfMap session={session} name={second} page={third} rest={rest} />;
  const place = CLUSTER.find((one) => one.key === first);
  if (place === undefined || session.role !== "admin") {
    document.title = first === undefined ? "Waypost" : "Not found · Waypost";
    return first === undefined ? null : <NotFound>There is no such page, or your token does not open it.</NotFound>;
  }
  document.title = `${place.title} · Waypost`;
  return <place.page />;
}

function OfMap(props: { session: Session; name: string; page: string; rest: readonly string[] }) {
  const { session, name } = props;
  const own = ownMap(name);
  const foreign = session.role === "map" && own === null;
  const found = useResource(
    async (signal) => {
      if (own !== null || foreign) return own;
      const map = await findMap(name, signal);
      return map === null ? null : mapRef(map);
    },
    [name],
  );
  const map = own ?? found.data;
  useEffect(() => {
    if (map) lastMap.value = map.slug;
  }, [map?.slug]);
  const place = MAP.find((one) => one.key === props.page);
  const none = map === null || place === undefined || !can(...place.scopes);
  document.title = none ? "Not found · Waypost" : `${place.title} · ${name} · Waypost`;
  if (found.error !== undefined) return <Fault error={found.error} retry={found.reload} />;
  if (map === undefined) return <Loading />;
  if (map === null) return <NotFound>{`There is no map ${name}, or your token does not open it.`}</NotFound>;
  if (place === undefined || !can(...place.scopes)) {
    return <NotFound>There is no such page, or your token does not open it.</NotFound>;
  }
  return <place.page map={map} rest={props.rest} />;
}

function NotFound({ children }: { children: ComponentChildren }) {
  return <PageHead title="Not found">{children}</PageHead>;
}

/** Keeps the frame when a page fails. */
class Boundary extends Component<{ children: ComponentChildren }, { error: unknown }> {
  override state: { error: unknown } = { error: null };

  static override getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override componentDidCatch(error: unknown): void {
    console.error(error);
  }

  render() {
    if (this.state.error === null) return this.props.children;
    return <Fault error={this.state.error} retry={() => this.setState({ error: null })} />;
  }
}
