//! The app of a worker, for the two that call it: the HTTP library, and the connections that the library
//! hands over.

use actix_http::Request;
use actix_service::ServiceFactory;
use futures_util::future::LocalBoxFuture;
use std::cell::OnceCell;
use std::rc::Rc;

/// The service of a worker's app. It is empty until the library has made it.
pub(super) type Made<S> = Rc<OnceCell<Rc<S>>>;

/// Makes a worker's app once.
pub(super) struct SharedApp<A: ServiceFactory<Request>> {
    app: A,
    made: Made<A::Service>,
}

impl<A: ServiceFactory<Request>> SharedApp<A> {
    /// An app that is not made yet.
    pub(super) fn new(app: A) -> Self {
        Self { app, made: Rc::default() }
    }

    /// The place of its service.
    pub(super) fn made(&self) -> Made<A::Service> {
        self.made.clone()
    }
}

impl<A> ServiceFactory<Request> for SharedApp<A>
where
    A: ServiceFactory<Request> + 'static,
{
    type Response = A::Response;
    type Error = A::Error;
    type Config = A::Config;
    type Service = Rc<A::Service>;
    type InitError = A::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, Self::InitError>>;

    fn new_service(&self, config: A::Config) -> Self::Future {
        let made = self.made.clone();
        let app = self.app.new_service(config);
        Box::pin(async move {
            let app = app.await?;
            Ok(made.get_or_init(|| Rc::new(app)).clone())
        })
    }
}
