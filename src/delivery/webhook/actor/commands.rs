//! Owner commands: requests to the owner of a webhook, stored in the log. Each is carried out once.

use super::WebhookActor;
use super::state::Commands;
use crate::core::consumer::progress::{NumberedCommand, OwnerCommand};
use crate::core::event::Event;
use crate::core::ids::EventId;
use crate::hub::ArchiveError;
use rustc_hash::FxHashMap;
use std::time::Instant;

/// A command, and the ids of those of its events that still exist, by seq.
type Ready = (NumberedCommand, FxHashMap<u64, EventId>);

impl WebhookActor {
    /// Carries out the commands that wait in the log.
    pub(super) fn take_commands(&mut self, now: Instant) {
        if self.commands != Commands::Due {
            return;
        }
        let commands = match self.read_commands() {
            Ok(commands) => commands,
            Err(error) => {
                let webhook = self.settings.webhook.id;
                tracing::error!(%webhook, %error, "owner commands can't be read; trying again");
                return self.commands.fail(now);
            }
        };
        self.commands.take();
        if commands.is_empty() {
            return;
        }
        for (command, found) in commands {
            let is_new = command.number > self.engine.state().commands_done();
            if is_new && matches!(command.command, OwnerCommand::Resume | OwnerCommand::Seek(_)) {
                self.reports.unreported.withdraw();
            }
            self.engine
                .carry_out(command, self.shared.hub.clock().expiry_ms(), |seq| found.get(&seq).copied());
        }
        self.held.sweep(&self.engine);
    }

    fn read_commands(&self) -> Result<Vec<Ready>, ArchiveError> {
        let Some(state) = self.shared.hub.webhooks().state(self.settings.webhook.id)? else {
            return Ok(Vec::new());
        };
        state.commands.into_iter().map(|command| self.find_events(command)).collect()
    }

    fn find_events(&self, command: NumberedCommand) -> Result<Ready, ArchiveError> {
        let mut found = FxHashMap::default();
        if let OwnerCommand::Redeliver(seqs) = &command.command {
            for seq in seqs {
                found.extend(self.event_at(*seq)?.map(|event| (*seq, event.id)));
            }
        }
        Ok((command, found))
    }

    /// The event with that seq; `None` if it is gone.
    pub(super) fn event_at(&self, seq: u64) -> Result<Option<Event>, ArchiveError> {
        let page = self.shared.source.archive().read_now(self.settings.topic, seq, 1, 1)?;
        match page.events.into_iter().next().filter(|event| event.seq == seq) {
            Some(event) => Ok(Some(event)),
            None => self.shared.hub.webhooks().kept_event(self.settings.webhook.id, seq),
        }
    }
}
