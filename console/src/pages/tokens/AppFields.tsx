import type { Schemas } from "../../api";
import { Checkbox, Field } from "../../ui";

/** What clients of a key may do, and who may connect, as the fields have it. */
export interface AppSettings {
  events: boolean;
  /** One a line. */
  origins: string;
  /** A number, or nothing for no limit. */
  most: string;
}

/** The settings of credentials; those of new ones if there are none. */
export function settingsOf(app: Schemas["App"] | null): AppSettings {
  return {
    events: app?.client_events ?? false,
    origins: app?.origins.join("\n") ?? "",
    most: app?.max_connections == null ? "" : String(app.max_connections),
  };
}

export function originsOf(settings: AppSettings): string[] {
  return settings.origins
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

export function isMostWrong(settings: AppSettings): boolean {
  return settings.most !== "" && !/^[1-9]\d*$/.test(settings.most);
}

interface Props {
  settings: AppSettings;
  onChange(settings: AppSettings): void;
}

/** The fields of these settings. */
export function AppFields({ settings, onChange }: Props) {
  return (
    <>
      <Checkbox
        label="Clients may publish client events"
        hint="Where no channel rule decides it."
        checked={settings.events}
        onChange={(events) => onChange({ ...settings, events })}
      />
      <Field
        label="Origins of pages that may connect"
        value={settings.origins}
        onInput={(origins) => onChange({ ...settings, origins })}
        lines={3}
        placeholder="https://*.example.com"
        hint="One a line; without any, all."
        mono
      />
      <Field
        label="Connections at most"
        value={settings.most}
        onInput={(most) => onChange({ ...settings, most })}
        placeholder="no limit"
        fault={isMostWrong(settings) ? "A whole number of 1 or more." : null}
      />
    </>
  );
}
