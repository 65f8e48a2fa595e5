//! The JWKS documents of issuers that publish their keys at a URL. Each node fetches them for itself.
//!
//! A document is fetched when a token of its issuer first comes, when it is old, and when a token names a key
//! that it lacks, and then not more often than once in [`PAUSE`]. If the host does not answer, the keys of
//! the last document stay. The fetches of one map never wait for those of another one.

use crate::core::ids::{MapId, TokenId};
use crate::core::issuer::{Issuer, IssuerKeys};
use crate::core::jwt::{KeyError, KeySource, Verifier};
use crate::hub::bridge::Bridge;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// The pause between two fetches of one document.
const PAUSE: Duration = Duration::from_secs(30);
/// The pause while no document has come yet.
const PAUSE_WITHOUT: Duration = Duration::from_secs(3);
/// A document that is older than this is fetched again when it is used.
const OLD: Duration = Duration::from_secs(600);
/// A document that is older than this verifies nothing before a newer one was waited for: keys may have been
/// withdrawn since.
const TOO_OLD: Duration = Duration::from_secs(3600);
/// Fetches under way at a time, and those of one map.
const MOST_UNDER_WAY: usize = 64;
const MOST_OF_MAP: usize = 2;

/// A document to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRequest {
    /// The issuer's token.
    pub token: TokenId,
    /// The URL of the document.
    pub url: Box<str>,
}

/// What is known of an issuer's document.
#[derive(Default)]
struct Document {
    verifier: Option<Arc<Verifier>>,
    came: Option<Instant>,
    tried: Option<Instant>,
    /// The map of the issuer, while a fetch is under way.
    under_way: Option<MapId>,
}

impl Document {
    fn is_old(&self) -> bool {
        self.came.is_none_or(|came| came.elapsed() > OLD)
    }

    fn may_try(&self) -> bool {
        let pause = if self.verifier.is_some() { PAUSE } else { PAUSE_WITHOUT };
        self.tried.is_none_or(|tried| tried.elapsed() > pause)
    }
}

/// The documents of this node.
pub(super) struct Documents {
    bridge: Arc<Bridge>,
    known: Mutex<FxHashMap<TokenId, Document>>,
    requests: mpsc::Sender<KeyRequest>,
    taken: Mutex<Option<mpsc::Receiver<KeyRequest>>>,
    /// Counts the fetches that have ended.
    ended: watch::Sender<u64>,
}

impl Documents {
    pub(super) fn new(bridge: Arc<Bridge>) -> Self {
        let (requests, taken) = mpsc::channel(MOST_UNDER_WAY);
        let taken = Mutex::new(Some(taken));
        Self { bridge, known: Mutex::default(), requests, taken, ended: watch::Sender::new(0) }
    }

    pub(super) fn take_requests(&self) -> Option<mpsc::Receiver<KeyRequest>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The verifier with the last document's keys. It asks for a newer document if the last one is old, and
    /// does not wait for it.
    pub(super) fn verifier(&self, issuer: &Issuer) -> Option<Arc<Verifier>> {
        let mut known = self.known();
        let document = known.entry(issuer.token).or_default();
        let verifier = document.verifier.clone();
        if verifier.is_some() && document.is_old() {
            self.ask(&mut known, issuer);
        }
        verifier
    }

    /// Whether the last document is so old that a newer one is to be waited for.
    pub(super) fn is_too_old(&self, issuer: &Issuer) -> bool {
        let came = self.known().get(&issuer.token).and_then(|document| document.came);
        came.is_some_and(|came| came.elapsed() > TOO_OLD)
    }

    /// Asks for a newer document, if it may, and waits until then for it to come or to fail.
    pub(super) async fn refresh(&self, issuer: &Issuer, until: tokio::time::Instant) {
        let mut ended = self.ended.subscribe();
        self.ask(&mut self.known(), issuer);
        let is_under_way =
            || self.known().get(&issuer.token).is_some_and(|document| document.under_way.is_some());
        let wait = async {
            while is_under_way() {
                if ended.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout_at(until, wait).await;
    }

    /// Asks for a document unless it is under way, was tried a moment ago, or too many are under way.
    fn ask(&self, known: &mut FxHashMap<TokenId, Document>, issuer: &Issuer) {
        let IssuerKeys::Url(url) = &issuer.keys else { return };
        let under_way = known.values().filter_map(|document| document.under_way);
        let (all, of_map) =
            under_way.fold((0, 0), |(all, own), map| (all + 1, own + usize::from(map == issuer.map)));
        if all >= MOST_UNDER_WAY || of_map >= MOST_OF_MAP {
            return;
        }
        self.forget_removed(known);
        let document = known.entry(issuer.token).or_default();
        if document.under_way.is_some() || !document.may_try() {
            return;
        }
        document.tried = Some(Instant::now());
        let request = KeyRequest { token: issuer.token, url: url.clone() };
        if self.requests.try_send(request).is_ok() {
            document.under_way = Some(issuer.map);
        }
    }

    /// A request has ended. Keys that can't be used, or did not come, leave the old ones in place.
    pub(super) fn came(&self, request: &KeyRequest, document: Result<String, String>) {
        let issuer = self.bridge.access().issuers().get(request.token).cloned();
        let read = issuer.map(|issuer| {
            let source = KeySource::Jwks(document?);
            verifier_of(&issuer, &source).map_err(|error| error.to_string())
        });
        let mut known = self.known();
        let Some(document) = known.get_mut(&request.token) else { return };
        document.under_way = None;
        match read {
            Some(Ok(verifier)) => {
                document.verifier = Some(Arc::new(verifier));
                document.came = Some(Instant::now());
            }
            Some(Err(error)) => {
                tracing::warn!(url = %request.url, error, "the keys of an issuer did not come")
            }
            None => {}
        }
        drop(known);
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// Forgets the documents of issuers that were removed.
    fn forget_removed(&self, known: &mut FxHashMap<TokenId, Document>) {
        let access = self.bridge.access();
        known.retain(|token, _| access.issuers().get(*token).is_some());
    }

    fn known(&self) -> MutexGuard<'_, FxHashMap<TokenId, Document>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The verifier of an issuer with keys from that source.
pub(super) fn verifier_of(issuer: &Issuer, source: &KeySource) -> Result<Verifier, KeyError> {
    Verifier::new(issuer.algorithm, source, issuer.issuer.as_deref(), issuer.audience.as_deref())
}
