//! The pages of examples, in headless Chromium.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use testkit::clients::Js;

/// A browser with the pages of one example.
pub(crate) struct Pages(Js);

impl Pages {
    /// Starts the browser, which writes below `folder`, and serves the files of an example.
    pub(crate) fn start(example: &str, chromium: &Path, folder: &Path) -> Result<Self> {
        let options = json!({"root": super::example(example), "chromium": chromium, "folder": folder});
        let js = Js::example_pages(options)?;
        js.wait_for("serving", 1)?;
        Ok(Self(js))
    }

    /// Opens a page: a whole URL, or a path of the example's files.
    pub(crate) fn open(&mut self, page: &str, url: &str) -> Result<()> {
        self.0.order(json!({"do": "open", "page": page, "url": url}))?;
        self.wait("opened", page, 1, |_| true).map(drop)
    }

    /// Sends a text by the page's form.
    pub(crate) fn send(&mut self, page: &str, text: &str) -> Result<()> {
        self.0.order(json!({"do": "send", "page": page, "text": text}))
    }

    /// Types a text, and does not send it.
    pub(crate) fn typed(&mut self, page: &str, text: &str) -> Result<()> {
        self.0.order(json!({"do": "type", "page": page, "text": text}))
    }

    /// Waits until the page shows that text in an element.
    pub(crate) fn shown(&mut self, page: &str, selector: &str, text: &str) -> Result<()> {
        let is = |line: &Value| line["selector"] == selector && line["text"] == text;
        let n = self.told("shown", page, is).len() + 1;
        self.0.order(json!({"do": "shown", "page": page, "selector": selector, "text": text}))?;
        self.wait("shown", page, n, is).with_context(|| format!("`{text}` in {selector}")).map(drop)
    }

    /// The texts of all such elements.
    pub(crate) fn texts(&mut self, page: &str, selector: &str) -> Result<Value> {
        let n = self.told("texts", page, |_| true).len() + 1;
        self.0.order(json!({"do": "texts", "page": page, "selector": selector}))?;
        Ok(self.wait("texts", page, n, |_| true)?["texts"].clone())
    }

    /// Ends the browser. No page may have failed.
    pub(crate) fn end(mut self) -> Result<()> {
        self.0.order(json!({"do": "end"}))?;
        self.0.wait_for("ended", 1)?;
        self.unharmed()
    }

    fn unharmed(&self) -> Result<()> {
        let errors = self.0.of("page_error");
        ensure!(errors.is_empty(), "{errors:?}");
        Ok(())
    }

    fn told(&self, kind: &str, page: &str, is: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.0.of(kind).into_iter().filter(|line| line["page"] == page && is(line)).collect()
    }

    fn wait(&self, kind: &str, page: &str, n: usize, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let what = format!("line {n} of kind `{kind}` from the page {page}");
        self.0.wait(&what, |_| Ok(self.told(kind, page, &is).into_iter().nth(n - 1)))
    }
}

/// The path of Chromium; without it, the test says that it was skipped.
pub(crate) fn chromium() -> Option<PathBuf> {
    let found = crate::pusher_page::chromium();
    if found.is_none() {
        println!("SKIPPED: no page was tried, because Chromium is not installed (or name it in CHROMIUM)");
    }
    found
}
