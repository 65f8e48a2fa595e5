// Shows the document of the API, which the node itself serves. Nothing is loaded from elsewhere.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
/** How deep schemas within schemas are shown at once. Deeper ones are shown when they are opened. */
const OPEN = 1;

const main = document.getElementById("main");
const list = document.getElementById("list");
const input = document.getElementById("search");
let api;

/** Makes an element. Texts are never read as HTML. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null && child !== ""));
  return element;
}

/** What a reference names, with the members beside the reference. */
function resolved(thing) {
  if (!thing?.$ref) {
    return thing ?? {};
  }
  const named = thing.$ref
    .slice(2)
    .split("/")
    .reduce((at, name) => at?.[name.replaceAll("~1", "/").replaceAll("~0", "~")], api);
  const { $ref, ...beside } = thing;
  return { ...resolved(named), ...beside };
}

/** Text in which `code` is marked. */
function prose(text) {
  const parts = String(text ?? "").split("`");
  const nodes = parts.map((part, place) => (place % 2 ? make("code", {}, part) : part));
  return make("span", {}, ...nodes);
}

/** The type of a schema in words, with its bounds. */
function typeOf(given) {
  const schema = resolved(given);
  const name = given?.$ref?.split("/").pop();
  const words = [];
  if (schema.const !== undefined) {
    words.push(JSON.stringify(schema.const));
  } else if (schema.enum) {
    words.push(
      schema.enum.length > 24
        ? `one of ${schema.enum.length} texts`
        : schema.enum.map((one) => JSON.stringify(one)).join(" | "),
    );
  } else if (schema.type === "array" || (Array.isArray(schema.type) && schema.type.includes("array"))) {
    words.push(`list of ${schema.items ? typeOf(schema.items) : "anything"}`);
  } else if (schema.oneOf || schema.anyOf) {
    words.push((schema.oneOf ?? schema.anyOf).map(typeOf).join(" or "));
  } else {
    words.push(
      [schema.type ?? (schema.properties || schema.allOf ? "object" : "anything")].flat().join(" | "),
    );
  }
  if (name) {
    words.push(`(${name})`);
  }
  for (const [key, word] of [
    ["format", ""],
    ["minimum", "≥ "],
    ["maximum", "≤ "],
    ["minLength", "length ≥ "],
    ["maxLength", "length ≤ "],
    ["minItems", "at least "],
    ["maxItems", "at most "],
    ["pattern", "matches "],
  ]) {
    if (schema[key] !== undefined) {
      words.push(word + schema[key]);
    }
  }
  if (schema.default !== undefined) {
    words.push(`default ${JSON.stringify(schema.default)}`);
  }
  return words.join(", ").replace(", (", " (");
}

/** The members of a schema: its own, those of its parts, and those of its items. */
function membersOf(given) {
  const schema = resolved(given);
  const properties = { ...schema.properties };
  const required = new Set(schema.required ?? []);
  for (const part of schema.allOf ?? []) {
    const inner = membersOf(part);
    Object.assign(properties, inner.properties);
    inner.required.forEach((name) => required.add(name));
  }
  return { properties, required };
}

/** The schemas within a schema that have members. */
function withMembers(given) {
  const schema = resolved(given);
  if (schema.items) {
    return withMembers(schema.items);
  }
  const choices = schema.oneOf ?? schema.anyOf;
  return choices
    ? choices.flatMap(withMembers)
    : Object.keys(membersOf(schema).properties).length > 0
      ? [given]
      : [];
}

function schemaNode(given, depth, seen) {
  const box = make("div", { class: "schema" });
  for (const one of withMembers(given)) {
    const { properties, required } = membersOf(one);
    const entries = make("dl", {});
    for (const [name, property] of Object.entries(properties)) {
      const mark = required.has(name) ? make("span", { class: "required" }, " required") : "";
      entries.append(make("dt", {}, name, mark, make("span", { class: "note" }, ` ${typeOf(property)}`)));
      const about = resolved(property);
      const detail = make("dd", {}, prose(about.description));
      if (about.examples) {
        detail.append(make("span", { class: "note" }, ` e.g. ${JSON.stringify(about.examples[0])}`));
      }
      if (withMembers(property).length > 0 && !seen.includes(property.$ref)) {
        detail.append(
          folded(
            "members",
            () => schemaNode(property, depth + 1, [...seen, property.$ref ?? name]),
            depth < OPEN,
          ),
        );
      }
      entries.append(detail);
    }
    box.append(entries);
  }
  return box;
}

/** Something that is made when it is opened. */
function folded(title, content, isOpen) {
  const details = make("details", {}, make("summary", { class: "note" }, title));
  const fill = () => details.childElementCount === 1 && details.append(content());
  details.addEventListener("toggle", fill);
  if (isOpen) {
    fill();
    details.open = true;
  }
  return details;
}

function contentNode(content) {
  return Object.entries(content ?? {}).map(([kind, { schema, example }]) => {
    const box = make(
      "div",
      {},
      make("code", {}, kind),
      make("span", { class: "note" }, ` ${typeOf(schema)}`),
    );
    if (resolved(schema).description) {
      box.append(" ", prose(resolved(schema).description));
    }
    if (withMembers(schema).length > 0) {
      box.append(schemaNode(schema, 0, [schema.$ref]));
    }
    const shown = example ?? resolved(schema).example ?? resolved(schema).examples?.[0];
    if (shown !== undefined) {
      box.append(make("pre", {}, make("code", {}, JSON.stringify(shown, null, 2))));
    }
    return box;
  });
}

function parametersNode(parameters) {
  if (parameters.length === 0) {
    return "";
  }
  const rows = parameters.map((one) =>
    make(
      "tr",
      {},
      make(
        "td",
        {},
        make("code", {}, one.name),
        one.required ? make("span", { class: "required" }, " required") : "",
      ),
      make("td", {}, one.in),
      make("td", {}, typeOf(one.schema)),
      make("td", {}, prose(one.description)),
    ),
  );
  const head = make("tr", {}, ...["parameter", "in", "type", ""].map((title) => make("th", {}, title)));
  return make("div", {}, make("h4", {}, "Parameters"), make("table", {}, head, ...rows));
}

function responsesNode(responses) {
  const all = Object.entries(responses).map(([status, given]) => {
    const response = resolved(given);
    const title = make("summary", {}, make("code", {}, status), " ", prose(response.description));
    const details = make("details", {}, title);
    const fill = () => {
      if (details.childElementCount > 1) {
        return;
      }
      for (const [name, header] of Object.entries(response.headers ?? {})) {
        details.append(make("p", {}, make("code", {}, name), " ", prose(resolved(header).description)));
      }
      details.append(...contentNode(response.content));
    };
    details.addEventListener("toggle", fill);
    return details;
  });
  return make("div", {}, make("h4", {}, "Answers"), ...all);
}

function securityOf(operation) {
  const all = operation.security ?? api.security ?? [];
  return all.length === 0 ? "no token" : all.map((one) => Object.keys(one).join(" and ")).join(" or ");
}

function operationNode(path, method, operation, shared) {
  const parameters = [...(shared ?? []), ...(operation.parameters ?? [])].map(resolved);
  const title = make("h3", {}, make("span", { class: `method ${method}` }, method.toUpperCase()), path);
  const node = make(
    "section",
    { class: "operation", id: operation.operationId },
    title,
    make("p", {}, make("strong", {}, prose(operation.summary))),
  );
  node.append(
    make("p", {}, prose(operation.description)),
    make("p", { class: "note" }, `Authentication: ${securityOf(operation)}`),
    parametersNode(parameters),
  );
  const body = resolved(operation.requestBody);
  if (body.content) {
    node.append(make("h4", {}, body.required ? "Body, required" : "Body"), ...contentNode(body.content));
  }
  node.append(responsesNode(operation.responses));
  return node;
}

function show(document) {
  api = document;
  const sections = new Map(api.tags.map((tag) => [tag.name, []]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((one) => item[one])) {
      const operation = item[method];
      const node = operationNode(path, method, operation, item.parameters);
      const link = make(
        "a",
        { href: `#${operation.operationId}` },
        make("b", {}, method.toUpperCase()),
        ` ${path}`,
      );
      const names = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map(
        (one) => resolved(one).name,
      );
      const schemas = JSON.stringify(operation).match(/schemas\/\w+/g) ?? [];
      const text = [
        method,
        path,
        operation.operationId,
        operation.summary,
        operation.description,
        ...names,
        ...schemas,
      ]
        .join(" ")
        .toLowerCase();
      const [tag] = operation.tags;
      sections.get(tag)?.push({ node, link, text });
    }
  }
  main.replaceChildren(
    make("h1", {}, `${api.info.title} ${api.info.version}`),
    make("p", {}, prose(api.info.description)),
  );
  const groups = [];
  for (const tag of api.tags) {
    const operations = sections.get(tag.name) ?? [];
    const head = make(
      "div",
      {},
      make("h2", {}, tag.name),
      make("p", { class: "note" }, prose(tag.description)),
    );
    const title = make("h2", {}, tag.name);
    main.append(head, ...operations.map((one) => one.node));
    list.append(title, ...operations.map((one) => one.link));
    groups.push({ head, title, operations });
  }
  input.addEventListener("input", () => filter(groups));
  if (location.hash) {
    window.document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }
}

/** Hides the operations that lack one of the words. */
function filter(groups) {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const { head, title, operations } of groups) {
    let shown = 0;
    for (const { node, link, text } of operations) {
      const fits = words.every((word) => text.includes(word));
      node.hidden = link.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    head.hidden = title.hidden = shown === 0;
  }
}

fetch("openapi.json")
  .then((answer) => answer.json())
  .then(show)
  .catch((error) => {
    main.textContent = `The document can't be read: ${error.message}`;
  });
