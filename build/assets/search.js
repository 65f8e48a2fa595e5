// Finds sections by their words. The index is read when somebody begins to search.
"use strict";

const MOST = 30;
const root = document.body.dataset.root;
const input = document.getElementById("search");
const found = document.getElementById("found");
let index;

function load() {
  index ??= fetch(root + "search.json").then((answer) => answer.json());
  return index;
}

/** How well a section fits all words: 0 if it lacks one. Words of its heading count more. */
function fits(section, words) {
  const all = ` ${section.w}`;
  const heading = ` ${section.t} ${section.h}`.toLowerCase();
  let value = 0;
  for (const word of words) {
    if (heading.includes(` ${word}`)) {
      value += 10;
    } else if (all.includes(` ${word}`)) {
      value += all.includes(` ${word} `) ? 2 : 1;
    } else {
      return 0;
    }
  }
  return value;
}

function entry(section) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = root + section.p + (section.a ? `#${section.a}` : "");
  link.textContent = section.h && section.h !== section.t ? `${section.t}: ${section.h}` : section.t;
  const text = document.createElement("small");
  text.textContent = section.x;
  item.append(link, text);
  return item;
}

async function search() {
  const words = input.value
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word.length > 1);
  if (words.length === 0) {
    found.hidden = true;
    return;
  }
  const sections = await load();
  const fitting = sections.map((section) => [fits(section, words), section]).filter(([value]) => value > 0);
  fitting.sort(([a], [b]) => b - a);
  const items = fitting.slice(0, MOST).map(([, section]) => entry(section));
  if (items.length === 0) {
    const none = document.createElement("li");
    none.textContent = "Nothing was found.";
    items.push(none);
  }
  found.replaceChildren(...items);
  found.hidden = false;
}

input.addEventListener("focus", load, { once: true });
input.addEventListener("input", search);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && event.target === document.body) {
    event.preventDefault();
    input.focus();
  } else if (event.key === "Escape") {
    input.value = "";
    found.hidden = true;
  }
});
found.addEventListener("click", () => {
  found.hidden = true;
});
