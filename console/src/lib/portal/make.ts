// A link to the portal: what the form says, as a request and as a command line.
import { commandLine, curl } from "../delivery/commands";
import { colourOf } from "./colours";

export const SCOPES = ["webhooks:read", "webhooks:write", "consumers:read", "consumers:write"] as const;
export type PortalScope = (typeof SCOPES)[number];

export interface LinkForm {
  minutes: string;
  scopes: readonly PortalScope[];
  /** Origins of pages that may show it in a frame, one a line. */
  origins: string;
  /** Colours as #rrggbb, or nothing. */
  accent: string;
  background: string;
  text: string;
  dark: "" | "true" | "false";
}

export const NEW_LINK: LinkForm = {
  minutes: "60",
  scopes: ["webhooks:read", "consumers:read"],
  origins: "",
  accent: "",
  background: "",
  text: "",
  dark: "",
};

export interface LinkBody {
  minutes: number;
  scopes: readonly PortalScope[];
  theme?: { accent?: string; background?: string; text?: string; dark?: boolean };
  origins?: readonly string[];
}

/** A link lives for a week at most, and has so many origins. */
const MOST_MINUTES = 7 * 24 * 60;
const MOST_ORIGINS = 10;
const COLOURS = ["accent", "background", "text"] as const;

/** Makes the request, and says what is wrong with the fields. */
export function linkBody(form: LinkForm): { body: LinkBody; faults: Partial<Record<keyof LinkForm, string>> } {
  const faults: Partial<Record<keyof LinkForm, string>> = {};
  const minutes = Number(form.minutes.trim());
  if (!/^\d+$/.test(form.minutes.trim()) || minutes < 1 || minutes > MOST_MINUTES) {
    faults.minutes = `Minutes, from 1 to ${MOST_MINUTES} (a week).`;
  }
  if (form.scopes.length === 0) faults.scopes = "Choose at least one.";
  else if (!SCOPES.some((scope) => form.scopes.includes(scope) && scope.endsWith(":read"))) {
    faults.scopes = "Without a scope to read, the page shows nothing.";
  }
  const origins = form.origins
    .split(/[\s,]+/)
    .map((origin) => origin.trim())
    .filter((origin) => origin !== "");
  const wrong = origins.find((origin) => !isOrigin(origin));
  if (wrong !== undefined) faults.origins = `${wrong} is no origin: https://host, or http://localhost with its port.`;
  else if (origins.length > MOST_ORIGINS) faults.origins = `At most ${MOST_ORIGINS} origins.`;
  const theme: NonNullable<LinkBody["theme"]> = {};
  for (const name of COLOURS) {
    const colour = form[name].trim();
    if (colour === "") continue;
    if (colourOf(colour) === null) faults[name] = "A colour as #rrggbb.";
    theme[name] = colour;
  }
  if (form.dark !== "") theme.dark = form.dark === "true";
  return {
    body: {
      minutes,
      scopes: SCOPES.filter((scope) => form.scopes.includes(scope)),
      ...(Object.keys(theme).length === 0 ? {} : { theme }),
      ...(origins.length === 0 ? {} : { origins }),
    },
    faults,
  };
}

/** Whether a text is an origin as the node takes it: in small letters, without a path. */
function isOrigin(text: string): boolean {
  return /^(https:\/\/[a-z0-9.-]+|http:\/\/localhost)(:\d+)?$/.test(text);
}

/** The command line that makes the same link. */
export function linkCommand(map: string, body: LinkBody): string {
  const { minutes, scopes, theme = {}, origins = [] } = body;
  // The command has no word for light pages.
  if (theme.dark === false) return curl("POST", `/api/maps/${encodeURIComponent(map)}/portal-links`, body);
  return commandLine(["portal", "link"], [map], {
    minutes,
    scope: scopes.join(","),
    accent: theme.accent,
    background: theme.background,
    text: theme.text,
    dark: theme.dark,
    origin: origins.join(","),
  });
}
