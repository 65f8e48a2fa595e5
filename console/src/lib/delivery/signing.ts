// The webhooks that sign with the credentials of a key. A webhook keeps its own key and secret, whatever becomes of
// the credentials that it was created with.
import { counted } from "../words";
import { commandLine } from "./commands";

/** What is read of a webhook. */
export interface Signing {
  id: string;
  profile?: string;
  key?: string | null;
  /** `config`: it stands in the configuration file, and is changed there alone. */
  origin?: string;
}

/** Those of the webhooks that sign with the key. */
export function signingWith<W extends Signing>(webhooks: readonly W[], key: string): W[] {
  return webhooks.filter((webhook) => webhook.profile === "pusher" && webhook.key === key);
}

/** `1 webhook still signs`, `2 webhooks still sign`. */
export function signText(count: number): string {
  return counted(count, "webhook still signs", "webhooks still sign");
}

/** The command lines that give a webhook another key and its secret; null where the configuration file does. */
export function changeLines(map: string, key: string, webhook: Signing): string | null {
  if (webhook.origin === "config") return null;
  const things = [map, webhook.id];
  const secret = commandLine(["webhook", "rotate"], things, { "secret-file": "-", "overlap-seconds": 0 });
  return `${commandLine(["webhook", "update"], things, { key })}\necho SECRET | ${secret}`;
}
