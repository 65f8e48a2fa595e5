//! The form of the output, which the global option `-o` chooses: once for each run of the program.

use std::sync::OnceLock;

/// The form in which a command prints what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Form {
    /// Tables and sentences for people
    Table,
    /// As table, with more columns
    Wide,
    /// JSON for programs; of a list, a line for each element
    Json,
}

/// The option that all commands have.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(in crate::cli) struct Output {
    /// Form of what is printed
    #[arg(long = "output", short = 'o', env = "WAYPOST_OUTPUT", global = true, display_order = 1000)]
    #[arg(value_name = "FORM", value_enum, default_value_t = Form::Table)]
    output: Form,
}

static CHOSEN: OnceLock<Form> = OnceLock::new();

impl Output {
    /// Uses this form from now on.
    pub(in crate::cli) fn choose(self) {
        // Chosen once, before a command runs.
        let _ = CHOSEN.set(self.output);
    }
}

fn chosen() -> Form {
    CHOSEN.get().copied().unwrap_or(Form::Table)
}

/// Whether to write for people: JSON was not asked for, neither with `-o json` nor with the old `--json`.
pub(in crate::cli) fn for_people(json: bool) -> bool {
    !json && chosen() != Form::Json
}

/// Whether more columns were asked for.
pub(in crate::cli) fn is_wide() -> bool {
    chosen() == Form::Wide
}
