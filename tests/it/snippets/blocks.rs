//! Reads the fenced blocks of a page in Markdown.

use anyhow::{Result, bail};

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// Its language; empty if it names none.
    pub(super) language: String,
    /// What follows the language, as `run` in `sh,run`.
    pub(super) flags: Vec<String>,
    /// The number of its first fence in the page, from 1.
    pub(super) line: usize,
    /// What stands between the fences.
    pub(super) text: String,
}

impl Block {
    /// A block with lines that must have been printed, for the block at that line of a page.
    pub(super) fn expecting(line: usize, lines: String) -> Self {
        Self { language: "text".to_owned(), flags: vec!["expect".to_owned()], line, text: lines }
    }

    /// The same block with other flags.
    pub(super) fn with_flags(&self, flags: &[&str]) -> Self {
        Self { flags: flags.iter().map(|&flag| flag.to_owned()).collect(), ..self.clone() }
    }

    /// Whether the block has this flag.
    pub(super) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|own| own == flag)
    }
}

/// The beginning of a block.
struct Fence {
    mark: char,
    length: usize,
    indent: usize,
}

impl Fence {
    /// The fence that this line is, and what follows it.
    fn of(line: &str) -> Option<(Self, &str)> {
        let text = line.trim_start();
        let mark = text.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
        let info = text.trim_start_matches(mark);
        let length = text.len() - info.len();
        // A line with code between backticks is no fence.
        let is_fence = length >= 3 && !(mark == '`' && info.contains('`'));
        is_fence.then(|| (Self { mark, length, indent: line.len() - text.len() }, info.trim()))
    }

    /// Whether this line ends the block.
    fn is_ended_by(&self, line: &str) -> bool {
        let text = line.trim();
        text.len() >= self.length && text.chars().all(|c| c == self.mark)
    }

    /// A line of the block, without the indentation that the fence has too.
    fn inner<'l>(&self, line: &'l str) -> &'l str {
        let blanks = line.len() - line.trim_start_matches(' ').len();
        &line[blanks.min(self.indent)..]
    }
}

/// All fenced blocks of a page, in their order.
pub(super) fn blocks(page: &str) -> Result<Vec<Block>> {
    let mut found = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some((fence, info)) = Fence::of(line) else { continue };
        let mut words = info.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned);
        let mut block = Block {
            language: words.next().unwrap_or_default(),
            flags: words.collect(),
            line: number + 1,
            text: String::new(),
        };
        loop {
            match lines.next() {
                None => bail!("line {}: the block has no end", block.line),
                Some((_, line)) if fence.is_ended_by(line) => break,
                Some((_, line)) => {
                    block.text.push_str(fence.inner(line));
                    block.text.push('\n');
                }
            }
        }
        found.push(block);
    }
    Ok(found)
}

#[test]
fn blocks_are_found() {
    let page = "a\n```sh,run\nb\n\n  c\n```\n1. d\n   ```js, norun\n   e\n     f\n   ```\n\
                ~~~~\n```x\n~~~~\n```g``` h\n";
    let all = blocks(page).unwrap();
    let short: Vec<_> = all.iter().map(|b| (b.language.as_str(), b.line, b.text.as_str())).collect();
    assert_eq!(short, [("sh", 2, "b\n\n  c\n"), ("js", 8, "e\n  f\n"), ("", 12, "```x\n")]);
    assert!(all[0].has("run") && all[1].has("norun") && all[2].flags.is_empty());
    assert!(blocks("```sh\na").is_err());
}
