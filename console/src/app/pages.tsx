// Which page stands at which address.
import type { ComponentType } from "preact";
import { Audit } from "../pages/Audit";
import { Cluster } from "../pages/Cluster";
import { Connections } from "../pages/Connections";
import { Consumers } from "../pages/Consumers";
import { Event } from "../pages/Event";
import { Ingest } from "../pages/Ingest";
import { Maps } from "../pages/Maps";
import { Overview } from "../pages/Overview";
import type { MapPage } from "../pages/props";
import { Settings } from "../pages/Settings";
import { Subjects } from "../pages/Subjects";
import { Tail } from "../pages/Tail";
import { Tokens } from "../pages/Tokens";
import { Usage } from "../pages/Usage";
import { Webhooks } from "../pages/Webhooks";

const ANY = ["subscribe", "publish", "presence", "manage"];

export interface Place<Props> {
  key: string;
  title: string;
  page: ComponentType<Props>;
  /** One of these scopes is needed to see anything there. */
  scopes: readonly string[];
  /** Not in the navigation. */
  hidden?: boolean;
  /** The key that follows `g`. */
  shortcut?: string;
}

/** The pages of the cluster. Only the admin sees them. */
export const CLUSTER: readonly Place<Record<string, never>>[] = [
  { key: "cluster", title: "Cluster", page: Cluster, scopes: [], shortcut: "c" },
  { key: "maps", title: "Maps", page: Maps, scopes: [], shortcut: "m" },
  { key: "audit", title: "Audit log", page: Audit, scopes: [], shortcut: "a" },
];

/** The pages of one map, the first that may be seen first. */
export const MAP: readonly Place<MapPage>[] = [
  { key: "overview", title: "Overview", page: Overview, scopes: ANY, shortcut: "o" },
  { key: "tail", title: "Live tail", page: Tail, scopes: ["subscribe", "publish"], shortcut: "t" },
  { key: "subjects", title: "Subjects", page: Subjects, scopes: ["subscribe"], shortcut: "s" },
  { key: "connections", title: "Connections", page: Connections, scopes: ["manage"], shortcut: "n" },
  { key: "webhooks", title: "Webhooks", page: Webhooks, scopes: ["manage"], shortcut: "w" },
  { key: "consumers", title: "Consumers", page: Consumers, scopes: ["manage", "subscribe"], shortcut: "k" },
  { key: "ingest", title: "Ingest", page: Ingest, scopes: ["manage"], shortcut: "i" },
  { key: "usage", title: "Usage", page: Usage, scopes: ["manage"], shortcut: "u" },
  { key: "tokens", title: "Tokens and issuers", page: Tokens, scopes: ["manage"], shortcut: "x" },
  { key: "settings", title: "Settings", page: Settings, scopes: ["manage"], shortcut: "e" },
  { key: "events", title: "Event", page: Event, scopes: ["manage"], hidden: true },
];
