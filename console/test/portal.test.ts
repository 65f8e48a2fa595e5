import assert from "node:assert/strict";
import { test } from "node:test";
import {
  colourOf,
  contrast,
  guarded,
  hexOf,
  lookOf,
  readableOn,
  type Colour,
  type Theme,
} from "../src/lib/portal/colours";
import { heightMessage, parentOrigin, rightsOf, tokenOf } from "../src/lib/portal/link";

test("only #rrggbb is a colour", () => {
  assert.deepEqual(colourOf("#33669F"), { red: 0x33, green: 0x66, blue: 0x9f });
  for (const bad of [
    "#369",
    "red",
    "#33669f;",
    " #33669f",
    "#33669f\n",
    "#33669g",
    "rgb(0,0,0)",
    "url(#33669f)",
    null,
    7,
    {},
    ["#33669f"],
  ]) {
    assert.equal(colourOf(bad), null, String(bad));
  }
  assert.equal(hexOf({ red: 0, green: 15.6, blue: 255 }), "#0010ff");
});

test("contrast is that of WCAG", () => {
  const of = (one: string, other: string) => contrast(colourOf(one) as Colour, colourOf(other) as Colour);
  assert.equal(of("#000000", "#ffffff"), 21);
  assert.equal(of("#777777", "#777777"), 1);
  assert.equal(of("#767676", "#ffffff").toFixed(2), "4.54");
});

test("a colour that cannot be read is moved until it can", () => {
  const white = colourOf("#ffffff") as Colour;
  assert.deepEqual(guarded(colourOf("#1d5bc7") as Colour, [white]), colourOf("#1d5bc7"));
  const yellow = guarded(colourOf("#ffee00") as Colour, [white]);
  assert.ok(contrast(yellow, white) >= 4.5);
});

/** Text and the ground that it stands on, as the style sheets have them. */
const PAIRS = [
  [
    "--text",
    [
      "--ground",
      "--surface",
      "--raised",
      "--hover",
      "--accent-soft",
      "--ok-soft",
      "--warn-soft",
      "--bad-soft",
      "--off-soft",
    ],
  ],
  ["--muted", ["--ground", "--surface", "--raised", "--hover"]],
  ["--accent", ["--ground", "--surface", "--raised", "--hover", "--accent-soft"]],
  ["--on-accent", ["--accent"]],
  ["--ok", ["--surface", "--ok-soft"]],
  ["--warn", ["--surface", "--warn-soft"]],
  ["--bad", ["--surface", "--bad-soft"]],
] as const;

test("whatever a link says, its pages can be read", () => {
  const parts = ["00", "40", "7f", "a0", "ff"];
  const colours = parts.flatMap((red) => parts.flatMap((green) => parts.map((blue) => `#${red}${green}${blue}`)));
  for (const background of colours) {
    for (const other of ["#ffffff", "#000000", "#777777", "#ffee00", "#3300cc"]) {
      const look = lookOf({ background, accent: other, text: other });
      assert.ok(look !== null);
      for (const [text, grounds] of PAIRS) {
        for (const ground of grounds) {
          const found = contrast(
            colourOf(look.properties[text]) as Colour,
            colourOf(look.properties[ground]) as Colour,
          );
          assert.ok(found >= 4.5, `${text} on ${ground}: ${found.toFixed(2)} with ${background} and ${other}`);
        }
      }
    }
  }
});

test("a look is made of colours alone", () => {
  const theme: Theme = {
    accent: "red;}body{display:none",
    background: "url(https://example.com)",
    text: "<b>",
    dark: true,
  };
  const look = lookOf(theme);
  assert.equal(look?.dark, true);
  for (const value of Object.values(look?.properties ?? {})) assert.match(value, /^#[0-9a-f]{6}$/);
  assert.equal(lookOf({}), null);
  assert.equal(lookOf({ accent: null, background: null, text: null, dark: null }), null);
  assert.equal(lookOf({ background: "#101010" })?.dark, true);
  assert.equal(lookOf({ background: "#fafafa", dark: true })?.dark, false);
  assert.deepEqual(readableOn(colourOf("#ffffff") as Colour), colourOf("#000000"));
});

test("the token is what stands in the fragment, and no address of a page", () => {
  assert.equal(tokenOf("#wpl_0123456789abcdef"), "wpl_0123456789abcdef");
  for (const none of ["", "#", "#/maps/demo/webhooks", "#short", "#with space 0123456789", `#${"a".repeat(5000)}`]) {
    assert.equal(tokenOf(none), null, none.slice(0, 30));
  }
});

test("the height goes to the page around, and to nobody else", () => {
  assert.equal(parentOrigin(["https://app.example.com", "https://top.example.com"], ""), "https://app.example.com");
  assert.equal(parentOrigin(null, "https://app.example.com/settings?x=1"), "https://app.example.com");
  assert.equal(parentOrigin(null, ""), null);
  assert.equal(parentOrigin([], "https://app.example.com/"), "https://app.example.com");
  assert.equal(parentOrigin(["null"], "https://app.example.com/"), null);
  assert.equal(parentOrigin(null, "javascript:alert(1)"), null);
  assert.deepEqual(heightMessage(812.4), { type: "waypost:height", height: 813 });
  assert.equal(heightMessage(1e9).height, 100_000);
});

test("scopes decide what is shown and what may be changed", () => {
  assert.deepEqual(rightsOf(["webhooks:read", "consumers:read", "consumers:write"]), {
    readWebhooks: true,
    writeWebhooks: false,
    readConsumers: true,
    writeConsumers: true,
  });
  assert.deepEqual(rightsOf(["webhooks:write"]), {
    readWebhooks: false,
    writeWebhooks: false,
    readConsumers: false,
    writeConsumers: false,
  });
});

test("a new link that differs in its token alone is taken, and no token stays in the address", async () => {
  const events = new EventTarget();
  const place = { hash: "#first-token-0123456789" };
  const go = (to: string) => {
    place.hash = to.slice(to.indexOf("#"));
  };
  Object.assign(globalThis, {
    location: place,
    history: { replaceState: (_: unknown, __: string, to: string) => go(to) },
    addEventListener: events.addEventListener.bind(events),
    document: { documentElement: { dataset: {}, style: { setProperty: () => {} } } },
  });
  const sent: string[] = [];
  globalThis.fetch = (async (_: string, init: RequestInit) => {
    const token = new Headers(init.headers).get("authorization") ?? "";
    sent.push(token);
    const map = { id: "m", slug: token.slice(7, 12), name: null };
    return Response.json({ data: { map, scopes: [], theme: null, expires_at: "2026-01-31T12:00:00.000Z" } });
  }) as typeof fetch;
  const { followLinks, link, take } = await import("../src/portal/link");
  const { follow, route } = await import("../src/router");
  const settle = () => new Promise((resolve) => setTimeout(resolve, 10));
  take();
  followLinks();
  follow();
  assert.equal(place.hash, "#/");
  await settle();
  place.hash = "#other-token-0123456789";
  events.dispatchEvent(new Event("hashchange"));
  assert.deepEqual([place.hash, route.value.path], ["#/", []]);
  await settle();
  assert.deepEqual(sent, ["Bearer first-token-0123456789", "Bearer other-token-0123456789"]);
  assert.equal(link.value.state === "open" ? link.value.opened.map.slug : link.value.state, "other");
  place.hash = "#/maps/m/webhooks";
  events.dispatchEvent(new Event("hashchange"));
  assert.deepEqual([sent.length, route.value.path], [2, ["maps", "m", "webhooks"]]);
});
