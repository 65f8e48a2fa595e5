// What the pages of webhooks and consumers may do. In the console the session says it, in a portal its link.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { can } from "../../session";

export interface Access {
  /** Whether webhooks may be changed. */
  writeWebhooks: boolean;
  /** Whether consumers may be changed. */
  writeConsumers: boolean;
  /** Whether the map's events may be read. */
  readEvents: boolean;
  /** Whether events may be sent by hand. */
  publish: boolean;
  /** Whether there are pages for single events. */
  trace: boolean;
  /** Whether who is here has the command line, and tokens for it. */
  commands: boolean;
  /** Whether links to the portal may be made. */
  portal: boolean;
}

const Given = createContext<Access | null>(null);

/** Says what may be done, to everything inside. */
export const AccessProvider = Given.Provider;

/** What may be done here. */
export function useAccess(): Access {
  const given = useContext(Given);
  if (given !== null) return given;
  const manages = can("manage");
  return {
    writeWebhooks: manages,
    writeConsumers: manages,
    readEvents: can("subscribe"),
    publish: manages && can("publish"),
    trace: manages,
    commands: true,
    portal: manages,
  };
}
