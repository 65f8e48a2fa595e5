//! The interim answer `100 Continue`, for which a client waits before it sends a body.
//!
//! The HTTP library writes one before any handler runs. It is kept back until a handler reads the body, so a
//! client that is refused sends nothing of it.

/// Where the interim answer to a connection's request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interim {
    /// The client waits for none.
    #[default]
    None,
    /// It is among the bytes that the library writes next.
    Coming {
        /// Whether a handler reads the body.
        wanted: bool,
    },
    /// The library has written it, and all before it is sent. Nobody reads the body.
    Kept,
    /// A handler reads the body: it is sent before more is read.
    Due,
}

impl Interim {
    /// Whether nobody has told the client to send the body that it holds back.
    pub fn is_kept_back(self) -> bool {
        matches!(self, Self::Coming { wanted: false } | Self::Kept)
    }

    /// A handler reads the body.
    pub(super) fn want(&mut self) {
        *self = match *self {
            Self::Coming { .. } => Self::Coming { wanted: true },
            Self::Kept | Self::Due => Self::Due,
            Self::None => Self::None,
        };
    }

    /// It is the next thing that the library writes. Whether it passes.
    pub(super) fn pass(&mut self) -> bool {
        let wanted = matches!(*self, Self::Coming { wanted: true });
        *self = if wanted { Self::None } else { Self::Kept };
        wanted
    }

    /// A request begins. What was kept of the one before it is not sent any more.
    pub(super) fn begin(&mut self) {
        if !matches!(*self, Self::Coming { .. }) {
            *self = Self::None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMING: Interim = Interim::Coming { wanted: false };

    #[test]
    fn it_is_sent_only_when_the_body_is_wanted() {
        // The handler reads the body before the library's bytes are written.
        let mut early = COMING;
        early.want();
        assert!(!early.is_kept_back() && early.pass());
        assert_eq!(early, Interim::None);
        // It reads the body after that, for example because it has asked another node.
        let mut late = COMING;
        assert!(!late.pass() && late.is_kept_back());
        late.want();
        assert_eq!(late, Interim::Due);
        // It refuses.
        let mut refused = COMING;
        assert!(refused.is_kept_back() && !refused.pass() && refused.is_kept_back());
        refused.begin();
        refused.want();
        assert_eq!(refused, Interim::None, "the next request expects nothing");
        let mut next = COMING;
        next.begin();
        assert_eq!(next, COMING, "the library writes it before the request begins");
    }
}
