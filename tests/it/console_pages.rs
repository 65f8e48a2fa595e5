//! The console in headless Chromium, on three nodes under load (`console_load`): sign-in, every page (light,
//! dark, as on a phone) with axe-core, the keyboard alone, names full of markup, lists that stand still while
//! events come, what a map's token sees, and the death of the node that a page talks to.

use crate::console_load::Load;
use crate::pusher_page::chromium;
use crate::support::scenario;
use crate::webhooks_support::{Hook, delivering};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use testkit::Cluster;
use testkit::clients::Js;
use testkit::cluster::{ADMIN, Map};
use testkit::http::text;

/// It would run if it were read as markup.
const MARKUP: &str = "<img src=x onerror=\"window.owned=1\"><b class=owned>bold</b>";
/// The same as the type of an event.
const TYPE: &str = "paid<img src=x onerror=window.owned=1>";
/// How many looks each page is tried in.
const LOOKS: [&str; 3] = ["light", "dark", "phone"];
/// What moves while events come, and can be held.
const LIVELY: [&str; 3] = ["tail", "attempts", "connections"];
/// A page of the cluster, or of the map by the name of its last segment.
const PAGES: [&str; 4] = ["#/cluster", "#/cluster?node=1", "#/maps", "#/audit"];
const PAGES_OF_MAP: [&str; 11] = [
    "overview",
    "tail",
    "tail?view=history",
    "subjects",
    "connections",
    "webhooks",
    "consumers",
    "ingest",
    "usage",
    "tokens",
    "settings",
];

#[test]
fn the_console_shows_everything_and_goes_on_at_another_node() {
    let Some(chromium) = chromium() else {
        println!("SKIPPED: no page was tried, because Chromium is not installed (or name it in CHROMIUM)");
        return;
    };
    // Declared first, so that it is removed last.
    let folder = tempfile::tempdir().unwrap();
    scenario(delivering(3), |c| {
        let shop = Shop::make(c)?;
        let load = Load::start(c, &shop.map)?;
        let mut person = Person::start(c, &shop, &load, &chromium, folder.path())?;
        load.goes_on().context("the load at first")?;
        person.sign_in().context("sign-in")?;
        for look in LOOKS {
            person.visit(look).with_context(|| format!("the pages, {look}"))?;
        }
        person.keys().context("the keyboard alone")?;
        person.makes().context("what is made")?;
        person.markup().context("names full of markup")?;
        for part in LIVELY {
            person
                .order(&json!({"do": "lively", "part": part}))
                .with_context(|| format!("holding {part}"))?;
        }
        person.own().context("the token of a map")?;
        person.without_faults()?;
        person.node_dies(c).context("the death of the node")?;
        load.goes_on().context("the load after the death of the node")?;
        person.does("signout")?;
        person.end()?;
        load.end(c).context("the history in the end")
    });
}

/// A map with one of everything, each with a name full of markup.
struct Shop {
    map: Map,
    /// A token that may only read.
    reader: String,
    /// The id of an event.
    event: String,
}

impl Shop {
    fn make(c: &Cluster) -> Result<Self> {
        let map = c.map("shop")?;
        let admin = c.admin(0);
        admin.patch(&map.path(""), &json!({"name": MARKUP}))?.expect(200)?;
        let reader = json!({"name": MARKUP, "scopes": ["subscribe"]});
        let reader = text(&admin.post(&map.path("/tokens"), &reader)?.data(201)?, "token")?;
        admin.post(&map.path("/ingest"), &json!({"name": MARKUP}))?.expect(201)?;
        admin.post(&map.path("/consumers"), &json!({"name": "readers"}))?.expect(201)?;
        // Nothing listens there: its attempts fail.
        let hook = json!({"name": MARKUP, "retry": {"max_attempts": 1}});
        Hook::create(c, &map, "http://127.0.0.1:9/hook", hook)?;
        let event = json!({"type": TYPE, "payload": {"text": MARKUP}});
        let event = text(&c.publish(0, &map, &event)?, "id")?;
        Ok(Self { map, reader, event })
    }

    /// The address of a page of the map, in the fragment.
    fn page(&self, page: &str) -> String {
        format!("#/maps/{}/{page}", self.map.slug)
    }

    fn pages(&self) -> Vec<String> {
        let of_event = format!("events/{}", self.event);
        let of_map = PAGES_OF_MAP.into_iter().chain([of_event.as_str()]).map(|page| self.page(page));
        PAGES.map(str::to_owned).into_iter().chain(of_map).collect()
    }
}

/// Somebody with a browser.
struct Person {
    js: Js,
    /// The fragments of all pages.
    pages: Vec<String>,
}

impl Person {
    fn start(c: &Cluster, shop: &Shop, load: &Load, chromium: &Path, folder: &Path) -> Result<Self> {
        let named = |page: &str, text: &str| json!({"page": page, "text": text});
        let foreign = c.map("warehouse")?;
        let js = Js::console(json!({
            "urls": c.urls_from(0),
            "admin": ADMIN,
            "token": shop.reader,
            "map": shop.map.slug,
            "webhook": load.hook.id,
            "own": [
                named("#/cluster", "your token does not open it"),
                named(&shop.page("settings"), "your token does not open it"),
                named(&format!("#/maps/{}/overview", foreign.slug), "There is no map warehouse"),
                named(&shop.page("overview"), "Your token may"),
            ],
            "markup": [
                named("#/maps", MARKUP),
                named(&shop.page("overview"), MARKUP),
                named(&shop.page("tokens"), MARKUP),
                named(&shop.page("webhooks"), MARKUP),
                named(&shop.page("ingest"), MARKUP),
                named(&shop.page("tail?view=history"), TYPE),
                named(&shop.page(&format!("events/{}", shop.event)), TYPE),
            ],
            "pictures": std::env::var("WAYPOST_PICTURES").ok(),
            "chromium": chromium,
            "folder": folder,
        }))?;
        js.wait_for("ready", 1)?;
        Ok(Self { js, pages: shop.pages() })
    }

    /// Has something done, and waits until it is.
    fn order(&mut self, order: &Value) -> Result<()> {
        let before = self.js.of("done").len();
        self.js.order(order.clone())?;
        self.js.wait(&order.to_string(), |js| {
            let is_over = js.of("done").len() > before || !js.of("failed").is_empty();
            Ok(is_over.then_some(()))
        })?;
        let failed = self.js.of("failed");
        ensure!(failed.is_empty(), "{failed:?}");
        Ok(())
    }

    fn does(&mut self, what: &str) -> Result<()> {
        self.order(&json!({"do": what}))
    }

    /// By the form. The cookie is for the node alone, and a script reads nothing that opens something.
    fn sign_in(&mut self) -> Result<()> {
        self.does("signin")?;
        let cookies = self.js.wait_for("cookie", 1)?["cookies"].clone();
        let expected =
            json!([{"name": "waypost_session", "httpOnly": true, "sameSite": "Strict", "path": "/"}]);
        ensure!(cookies == expected, "{cookies}");
        let readable = self.js.wait_for("readable", 1)?;
        ensure!(!readable["text"].as_str().unwrap_or_default().contains(ADMIN), "{readable}");
        Ok(())
    }

    fn visit(&mut self, look: &str) -> Result<()> {
        for page in self.pages.clone() {
            self.order(&json!({"do": "visit", "look": look, "page": page}))?;
        }
        self.order(&json!({"do": "leave", "look": look}))?;
        self.without_faults()
    }

    fn keys(&mut self) -> Result<()> {
        self.does("keys")?;
        let opened = self.js.of("opened");
        let last = opened.last().context("nothing was opened")?;
        ensure!(last["what"] == "a question with its command line", "{last}");
        Ok(())
    }

    /// A map is made by Enter alone, a portal link by its dialog, and a form is left only after a question.
    fn makes(&mut self) -> Result<()> {
        self.does("makes")?;
        let made = self.js.wait_for("made", 1)?;
        ensure!(made["link"].as_str().is_some_and(|link| link.contains("/portal/")), "{made}");
        ensure!(made["typed"] == "half typed", "what was typed is gone: {made}");
        Ok(())
    }

    fn markup(&mut self) -> Result<()> {
        self.does("markup")?;
        for line in self.js.of("shown") {
            ensure!(line["made"] == 0 && line["owned"] == false, "markup was read as such: {line}");
        }
        Ok(())
    }

    fn own(&mut self) -> Result<()> {
        self.does("own")?;
        let links = self.js.wait_for("navigation", 1)?["links"].clone();
        ensure!(links == json!(["Overview", "Live tail", "Subjects", "Consumers"]), "{links}");
        Ok(())
    }

    /// One page is at the first node, one at a proxy. The node dies: the first page says so, and names
    /// another node, where the session is good; the second page goes on.
    fn node_dies(&mut self, c: &mut Cluster) -> Result<()> {
        self.does("watch")?;
        let before = self.js.wait_for("asked", 1)?["who"].clone();
        c.nodes[0].kill9()?;
        self.order(&json!({"do": "lost", "before": before}))?;
        let href = self.js.wait_for("elsewhere_is", 1)?["href"].clone();
        let urls = c.urls_from(1);
        let leads = urls[..2].iter().any(|url| href == format!("{url}/console/#/cluster"));
        ensure!(leads, "{href} leads to none of {urls:?}");
        for n in [2, 3] {
            let now = self.js.wait_for("asked", n)?["who"].clone();
            ensure!(now != before, "it still asks {now}");
        }
        Ok(())
    }

    /// Nothing was wrong with any page so far.
    fn without_faults(&self) -> Result<()> {
        for line in self.js.of("visited") {
            let of = format!("{} {}", line["look"], line["page"]);
            ensure!(line["faults"] == json!([]), "axe-core, {of}: {}", line["faults"]);
            let beside = line["overflow"].as_i64().unwrap_or_default();
            ensure!(beside <= 0, "{of}: {beside} pixels are beside the window");
        }
        for kind in ["csp", "elsewhere", "page_error", "console_error"] {
            let lines = self.js.of(kind);
            // The browser calls a request that nobody answers an error.
            let is_of_gone = |line: &Value| line["text"].as_str().is_some_and(|it| it.contains("net::ERR_"));
            let lines: Vec<&Value> = lines.iter().filter(|line| !is_of_gone(line)).collect();
            ensure!(lines.is_empty(), "{lines:?}");
        }
        Ok(())
    }

    fn end(mut self) -> Result<()> {
        self.does("end")?;
        self.js.wait_for("ended", 1)?;
        self.without_faults()
    }
}
