import assert from "node:assert/strict";
import { test } from "node:test";
import { faultLines, isTouched } from "../src/lib/delivery/fields";
import { sampleOf } from "../src/lib/delivery/sample";
import { lacksTemplate, NEW_WEBHOOK, WEBHOOK } from "../src/lib/delivery/settings";
import { linkBody, linkCommand, NEW_LINK } from "../src/lib/portal/make";

test("a portal link is made of what was chosen, and the command makes the same", () => {
  const { body, faults } = linkBody({
    ...NEW_LINK,
    minutes: "15",
    scopes: ["webhooks:write", "webhooks:read"],
    origins: "https://app.example.com\nhttp://localhost:5173",
    accent: "#336699",
    dark: "true",
  });
  assert.deepEqual(faults, {});
  assert.deepEqual(body, {
    minutes: 15,
    scopes: ["webhooks:read", "webhooks:write"],
    theme: { accent: "#336699", dark: true },
    origins: ["https://app.example.com", "http://localhost:5173"],
  });
  assert.equal(
    linkCommand("shop", body),
    "waypost portal link --minutes 15 --scope webhooks:read,webhooks:write --accent '#336699' --dark" +
      " --origin https://app.example.com,http://localhost:5173 shop",
  );
  assert.match(
    linkCommand("shop", linkBody({ ...NEW_LINK, dark: "false" }).body),
    /^curl .*portal-links.*"dark":false/s,
  );
});

test("what a portal link cannot have is a fault of its field", () => {
  const faults = (changes: Partial<typeof NEW_LINK>) => Object.keys(linkBody({ ...NEW_LINK, ...changes }).faults);
  assert.deepEqual(faults({}), []);
  for (const minutes of ["", "0", "10081", "1.5", "x"]) assert.deepEqual(faults({ minutes }), ["minutes"], minutes);
  assert.deepEqual(faults({ scopes: [] }), ["scopes"]);
  assert.deepEqual(faults({ scopes: ["webhooks:write"] }), ["scopes"], "the page would show nothing");
  for (const origins of ["app.example.com", "https://a.example/path", "http://a.example", "https://A.example"]) {
    assert.deepEqual(faults({ origins }), ["origins"], origins);
  }
  assert.deepEqual(faults({ text: "red" }), ["text"]);
});

test("an event of one's own is JSON with a type", () => {
  assert.deepEqual(sampleOf({ type: " a ", subject: "", payload: '{"n": 7}' }), {
    sample: { type: "a", payload: { n: 7 } },
  });
  assert.deepEqual(sampleOf({ type: "a", subject: "orders-7", payload: "1" }), {
    sample: { type: "a", subject: "orders-7", payload: 1 },
  });
  const wrong = sampleOf({ type: "", subject: "", payload: "{" });
  assert.deepEqual("faults" in wrong ? Object.keys(wrong.faults).sort() : [], ["payload", "type"]);
});

test("a template that is not typed yet is not asked for", () => {
  assert.ok(lacksTemplate({ profile: "template" }));
  assert.ok(lacksTemplate({ profile: "template", template: "  " }));
  assert.ok(!lacksTemplate({ profile: "template", template: "{}" }));
  assert.ok(!lacksTemplate({ profile: "standard" }));
});

test("faults of the API are told in the words of the form", () => {
  const faults = [
    { field: "template", message: "is required by the profile template" },
    { field: "rate_limit.requests", message: "must be at least 1" },
    { field: "", message: "is no object" },
  ];
  assert.deepEqual(faultLines(WEBHOOK, faults), [
    "Template: is required by the profile template",
    "Most requests: must be at least 1",
    "is no object",
  ]);
});

test("a form is touched by what differs alone", () => {
  assert.ok(!isTouched(NEW_WEBHOOK, NEW_WEBHOOK));
  assert.ok(!isTouched({ ...NEW_WEBHOOK, name: "" }, NEW_WEBHOOK), "what was typed is gone again");
  assert.ok(isTouched({ ...NEW_WEBHOOK, name: "a" }, NEW_WEBHOOK));
});
