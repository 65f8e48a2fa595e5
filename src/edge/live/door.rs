//! How a client that has said who it is is let in.

use super::form::LiveForm;
use super::frame::After;
use crate::core::access::Scopes;
use crate::core::error_code::Code;
use crate::core::filter::Filter;
use crate::core::subject::Selector;
use crate::delivery::{Dispatcher, Subscriber};
use crate::edge::addresses::{AddressShare, address_of};
use crate::edge::auth::granted;
use crate::edge::context::Edge;
use crate::edge::given::BadParameter;
use crate::edge::refused::{Quota, Refused};
use crate::edge::sessions::SessionKind;
use crate::edge::subscribe::{self, Asked, FormOf, Opened, SessionQuota, Wanted};
use crate::hub::{Grant, Who};
use actix_web::HttpRequest;
use actix_web::web::Data;
use std::rc::Rc;
use std::sync::Arc;

/// What it takes to let a client in. It is a copy, because the session may be gone meanwhile.
pub(super) struct Door {
    pub(super) edge: Data<Edge>,
    /// The request that opened the socket.
    pub(super) request: HttpRequest,
    pub(super) dispatcher: Rc<Dispatcher>,
    pub(super) subscriber: Rc<Subscriber>,
    pub(super) quota: Rc<SessionQuota>,
}

/// The map that a caller means: the one that it names, or its token's own. The admin token opens every map,
/// so its holder names one.
pub(super) fn map_of(who: &Who, named: Option<&str>) -> Result<String, BadParameter> {
    match (named, who) {
        (Some(named), _) => Ok(named.to_owned()),
        (None, Who::Token(token)) => Ok(token.map.to_string()),
        (None, Who::Admin) => {
            let message = "the admin token opens every map: name one in map, by its id or slug";
            Err(BadParameter::new("map", Code::MapNeeded, message))
        }
    }
}

/// Counts a client for its address, as long as nobody has said who it is.
pub(super) fn count_stranger(edge: &Edge, request: &HttpRequest) -> Result<Option<AddressShare>, Quota> {
    edge.addresses.take(address_of(request), edge.config.sockets_per_address)
}

/// A client that is let in.
pub(super) struct Entered {
    /// Its map, and who it is.
    pub(super) grant: Grant,
    /// The subscription to the events that every client of the map gets. `None` if its token does not permit
    /// these.
    pub(super) opened: Option<Opened>,
}

impl Door {
    /// Lets a client in: finds out who it is, counts it, and opens the subscription to the events that
    /// every client of the map gets.
    pub(super) async fn enter(
        &self,
        token: &str,
        map: Option<&str>,
        (for_all, after): (Filter, After),
    ) -> Result<Entered, Refused> {
        let who = self.edge.authenticate_on(&self.request, Some(token), map).await?;
        let map = map_of(&who, map)?;
        // A stranger to the map is refused before it counts for anything.
        let grant = granted(&self.edge.hub, who, &map, Scopes::SUBSCRIBE).await?;
        self.count(&grant.who).await?;
        let subjects = Selector::default();
        if !grant.who.covers(&subjects) {
            self.check(&grant)?;
            return Ok(Entered { grant, opened: None });
        }
        let compression = self.subscriber.compression();
        let form: FormOf = Box::new(move |_| compression.form(Arc::new(LiveForm::of_all())));
        let wanted = Wanted { subjects, filter: for_all, expression: None, start: after.start() };
        let (who, map, quota) = (grant.who.clone(), grant.map.id.to_string(), self.quota.clone());
        let tells_start = after.is_told();
        let asked = Asked { who, map, wanted, form, quota, count: false, tells_start, former: None };
        let opened = subscribe::open(&self.dispatcher, asked).await?;
        Ok(Entered { grant, opened: Some(opened) })
    }

    /// Lets a client of the map go on with another token. A token that is limited takes the place only of one
    /// with the same limits, so that no subscription needs another look.
    pub(super) async fn refresh(
        &self,
        token: &str,
        named: Option<&str>,
        old: &Grant,
    ) -> Result<Grant, Refused> {
        let own = old.map.id.to_string();
        let who = self.edge.authenticate_on(&self.request, Some(token), Some(&own)).await?;
        let grant = granted(&self.edge.hub, who, named.unwrap_or(&own), Scopes::SUBSCRIBE).await?;
        if grant.map.id != old.map.id {
            return Err(Refused::NotFound);
        }
        if grant.who.is_limited() && !grant.who.may_replace(&old.who) {
            let message = "the token permits something else than the one before; connect with it instead";
            return Err(BadParameter::new("token", Code::OtherToken, message).into());
        }
        if !grant.who.may_replace(&old.who) {
            // It counts for the former token until it counts for this one.
            let counted = self.edge.count_session(&self.request, &grant.who, SessionKind::Socket).await?;
            self.subscriber.hold(counted);
        }
        self.check(&grant)?;
        Ok(grant)
    }

    /// Checks that a right was not revoked meanwhile.
    fn check(&self, grant: &Grant) -> Result<(), Refused> {
        match self.edge.hub.access().still_granted(grant, Scopes::SUBSCRIBE) {
            true => Ok(()),
            false => Err(Refused::Unauthorized),
        }
    }

    /// Counts the client for its token and map from now on, and no longer as a stranger.
    async fn count(&self, who: &Who) -> Result<(), Quota> {
        // Its address counts once.
        self.subscriber.hold(());
        let counted = self.edge.count_session(&self.request, who, SessionKind::Socket).await;
        match counted {
            Ok(counted) => {
                self.subscriber.hold(counted);
                Ok(())
            }
            Err(quota) => {
                if let Ok(stranger) = count_stranger(&self.edge, &self.request) {
                    self.subscriber.hold(stranger);
                }
                Err(quota)
            }
        }
    }
}
