// Shows orders as they happen. The page begins with the last 1,000 events, stays up to date, and after a
// break goes on after the last event that it has seen.
//
// What stands after # in the page's address stays in the browser: url, map and token.
const { url = "http://127.0.0.1:4000", map = "demo", token = "" } = Object.fromEntries(
  new URLSearchParams(location.hash.slice(1)),
);
const TYPES = ["order_placed", "order_paid", "order_cancelled"];
const LATEST = 10;

const counts = Object.fromEntries(TYPES.map((type) => [type, 0]));
let revenue = 0;
let last; // our position
let gap = ""; // what the page says of events that it never saw

const element = (id) => document.getElementById(id);
const show = (id, text) => (element(id).textContent = text);

function add({ type, subject = "", ts, payload }) {
  counts[type] += 1;
  show(type, counts[type]);
  const amount = Number(payload?.amount) || 0;
  if (type === "order_paid") show("revenue", (revenue += amount).toFixed(2));
  const row = element("latest").insertRow(0);
  const texts = [new Date(ts).toLocaleTimeString(), subject, type, payload?.amount ?? ""];
  // Text that comes from outside is never HTML.
  for (const text of texts) row.insertCell().textContent = text;
  if (element("latest").rows.length > LATEST) element("latest").deleteRow(LATEST);
}

function connect() {
  const query = new URLSearchParams({ token, subjects: "orders-*", events: TYPES.join() });
  if (last) query.set("last_event_id", last);
  else query.set("backfill", 1000);
  const source = new EventSource(`${url}/api/maps/${map}/events/stream?${query}`);
  source.addEventListener("connected", ({ data }) => {
    show("state", "live");
    if (JSON.parse(data).gap) gap = "Some events are no longer kept: the figures lack them.";
    show("note", gap);
  });
  for (const type of TYPES) {
    source.addEventListener(type, ({ data, lastEventId }) => {
      last = lastEventId;
      add(JSON.parse(data));
    });
  }
  source.addEventListener("position", ({ lastEventId }) => (last = lastEventId));
  source.addEventListener("refused", ({ data }) => show("note", JSON.parse(data).message));
  source.onerror = () => {
    show("state", "connecting");
    // The browser connects again by itself, unless it was refused.
    if (source.readyState !== EventSource.CLOSED) return;
    show("note", "Refused: is the token right?");
    setTimeout(connect, 5000);
  };
}

connect();
