//! Pauses in the work on a large body, in which the other clients of the worker thread go on.

/// Bytes after which the work pauses.
const PAUSE_BYTES: usize = 64 * 1024;

/// Counts the work that was done since the last pause.
#[derive(Default)]
pub(super) struct Pauses {
    bytes: usize,
}

impl Pauses {
    /// Notes work on that many bytes, and pauses if it is due.
    pub(super) async fn after(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= PAUSE_BYTES {
            self.bytes = 0;
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[actix_web::test]
    async fn others_go_on_while_a_large_body_is_read() {
        let others = Rc::new(Cell::new(0));
        let other = actix_web::rt::spawn({
            let others = others.clone();
            async move {
                for _ in 0..8 {
                    others.set(others.get() + 1);
                    tokio::task::yield_now().await;
                }
            }
        });
        let mut pauses = Pauses::default();
        for _ in 0..8 * PAUSE_BYTES / 1024 {
            pauses.after(1024).await;
        }
        assert!(others.get() >= 7, "{} turns", others.get());
        other.await.unwrap();
    }
}
