//! The question before a command that can't be undone.

use std::io::{self, BufRead, IsTerminal, Write};

use super::usage::Usage;

/// With `--yes`, the beginning of an id must have at least so many characters. Lists show as many.
const LEAST_BEGINNING: usize = 8;

/// Whether a command that can't be undone asks first. It asks on a terminal. A script has nobody to ask, so
/// it says `--yes`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Confirm {
    /// Do it without asking; needed where there is no terminal to ask on
    #[arg(long)]
    yes: bool,
}

impl Confirm {
    /// Whether the command would ask.
    pub(super) fn asks(self) -> bool {
        !self.yes && can_ask()
    }

    /// Whether the command goes on without a question.
    pub(super) fn is_given(self) -> bool {
        self.yes
    }

    /// Asks whether to go on with what `what` says, as in `this deletes the map demo`.
    ///
    /// # Errors
    /// If the answer is not yes, or nobody can be asked. Nothing may be changed then.
    pub(super) fn ask(self, what: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        if !can_ask() {
            let text = format!("{what}; there is no terminal to ask on: add --yes if you mean it");
            return Err(Usage(text).into());
        }
        let mut screen = io::stderr().lock();
        write!(screen, "{}. Go on? [y/N] ", super::output::printable(what))?;
        screen.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        anyhow::ensure!(is_yes(&answer), "not done: nothing was changed");
        Ok(())
    }

    /// Asks about what is named by its id or by the beginning of it. `find` finds the id; the question has the
    /// whole one. Returns the id.
    ///
    /// # Errors
    /// As [`Confirm::ask`], and those of `find`. Without a terminal and `--yes` nothing is looked for. With `--yes`
    /// a short beginning of an id is refused, because nobody sees which id was found.
    pub(super) async fn ask_about(
        self,
        text: String,
        what: impl Fn(&str) -> String,
        find: impl AsyncFnOnce(String) -> anyhow::Result<String>,
    ) -> anyhow::Result<String> {
        if !self.asks() {
            self.ask(&what(&text))?;
            let id = find(text.clone()).await?;
            if is_too_short(&text, &id) {
                let why = format!(
                    "{text} is the beginning of {id}, and with --yes nobody sees which one is meant: give at least \
                     {LEAST_BEGINNING} characters of the id"
                );
                return Err(Usage(why).into());
            }
            return Ok(id);
        }
        let id = find(text).await?;
        self.ask(&what(&id))?;
        Ok(id)
    }
}

/// Whether a text is the beginning of an id, and of too few characters.
fn is_too_short(text: &str, id: &str) -> bool {
    text.len() < LEAST_BEGINNING && id != text && id.starts_with(text)
}

fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found by a text with `--yes`.
    async fn found(text: &str) -> Result<String, String> {
        let yes = Confirm { yes: true };
        let asked =
            yes.ask_about(text.to_owned(), |_| String::new(), async |_| Ok("0190a1b2-c3d4".to_owned()));
        asked.await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn without_a_question_a_short_beginning_of_an_id_is_refused() {
        for good in ["0190a1b2-c3d4", "0190a1b2", "name"] {
            assert_eq!(found(good).await.as_deref(), Ok("0190a1b2-c3d4"), "{good}");
        }
        assert!(found("0").await.is_err_and(|why| why.contains("at least 8")));
    }

    #[test]
    fn only_yes_is_yes() {
        for (answer, yes) in [("y\n", true), ("YES\r\n", true), ("", false), ("\n", false), ("yeah\n", false)]
        {
            assert_eq!(is_yes(answer), yes, "{answer:?}");
        }
    }
}
