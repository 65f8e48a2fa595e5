//! Paths and their handlers. HEAD is answered wherever GET is, OPTIONS names the methods of a path, and any
//! other method is refused with 405, which names them too.

use super::error::ApiError;
use super::timing::Timed;
use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::http::header::ALLOW;
use actix_web::http::{Method, StatusCode};
use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, ResponseError, Route, web,
};
use rustc_hash::FxHashMap;

/// The methods that some path of the server takes.
const ALL: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Returns whether some path of the server takes the method.
pub fn is_taken(method: &Method) -> bool {
    ALL.split(", ").any(|taken| taken == method.as_str())
}

/// A path and the methods that it takes.
pub struct At {
    path: String,
    /// How long its answers take.
    timed: Timed,
    routes: Vec<Route>,
    methods: Vec<Method>,
}

/// A path that takes no method yet.
pub fn at(path: impl Into<String>) -> At {
    let path = path.into();
    At { timed: Timed::of(&path), path, routes: Vec::new(), methods: Vec::new() }
}

impl At {
    /// The handler of GET. It also answers HEAD, for which the server leaves out the body.
    pub fn get<H, A>(self, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.on(Method::GET, handler.clone()).on(Method::HEAD, handler)
    }

    /// The handler of POST.
    pub fn post<H, A>(self, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.on(Method::POST, handler)
    }

    /// The handler of PUT.
    pub fn put<H, A>(self, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.on(Method::PUT, handler)
    }

    /// The handler of PATCH.
    pub fn patch<H, A>(self, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.on(Method::PATCH, handler)
    }

    /// The handler of DELETE.
    pub fn delete<H, A>(self, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.on(Method::DELETE, handler)
    }

    /// The handler of one method, for a path where GET may not answer HEAD.
    pub fn on<H, A>(mut self, method: Method, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.routes.push(web::method(method.clone()).to(handler));
        self.methods.push(method);
        self
    }

    /// The whole path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The methods that it takes.
    pub fn taken(&self) -> &[Method] {
        &self.methods
    }

    /// The same, with commas between them.
    pub fn methods(&self) -> String {
        self.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(",")
    }

    /// The path without `prefix`, for a group of paths that has it.
    pub fn below(mut self, prefix: &str) -> Self {
        if self.path.starts_with(prefix) {
            self.path.drain(..prefix.len());
        }
        self
    }
}

/// The methods that each path of a worker takes. A request with another method is refused for its method,
/// whatever its query.
#[derive(Debug, Default)]
pub struct Methods(FxHashMap<String, Vec<Method>>);

impl Methods {
    /// Adds a path.
    pub fn add(&mut self, path: &At) {
        self.0.entry(path.path().to_owned()).or_default().extend_from_slice(path.taken());
    }

    /// Whether the path, as it is registered, takes the method.
    pub fn take(&self, path: &str, method: &Method) -> bool {
        self.0.get(path).is_some_and(|taken| taken.contains(method))
    }
}

impl HttpServiceFactory for At {
    fn register(self, config: &mut AppService) {
        let methods: Vec<&str> = self.methods.iter().map(Method::as_str).chain(["OPTIONS"]).collect();
        let allowed = methods.join(", ");
        let others = move |request: HttpRequest| {
            let answer =
                if request.method() == Method::OPTIONS { options(&allowed) } else { refused(&allowed) };
            async move { answer }
        };
        let resource = self.routes.into_iter().fold(web::resource(self.path), Resource::route);
        resource.app_data(self.timed).default_service(web::to(others)).register(config);
    }
}

/// The answer for a path that the server does not have, and for `OPTIONS *`, which asks about the server.
pub async fn elsewhere(request: HttpRequest) -> HttpResponse {
    match (request.method(), request.path()) {
        (&Method::OPTIONS, "*" | "/") => options(ALL),
        (_, path) => {
            let hint = match path.starts_with("/api/maps//") {
                true => "the map's name is empty; paths of a map begin with /api/maps/{map}/",
                false => "docs/openapi.yaml has all paths; those of the API begin with /api/",
            };
            ApiError::not_found("this path").hint(hint).error_response()
        }
    }
}

fn options(allowed: &str) -> HttpResponse {
    HttpResponse::NoContent().insert_header((ALLOW, allowed)).finish()
}

fn refused(allowed: &str) -> HttpResponse {
    let error = ApiError::of_status(StatusCode::METHOD_NOT_ALLOWED).hint(format!("it takes {allowed}"));
    let mut answer = error.error_response();
    if let Ok(allowed) = allowed.parse() {
        answer.headers_mut().insert(ALLOW, allowed);
    }
    answer
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, http};

    #[actix_web::test]
    async fn every_method_is_answered() {
        let text = || async { "text" };
        let app = App::new()
            .service(at("/both").get(text).post(text))
            .service(at("/one").post(text))
            .default_service(web::to(elsewhere));
        let app = init_service(app).await;
        for (method, path, status, allow) in [
            ("GET", "/both", 200, None),
            ("HEAD", "/both", 200, None),
            ("POST", "/both", 200, None),
            ("OPTIONS", "/both", 204, Some("GET, HEAD, POST, OPTIONS")),
            ("DELETE", "/both", 405, Some("GET, HEAD, POST, OPTIONS")),
            ("TRACE", "/both", 405, Some("GET, HEAD, POST, OPTIONS")),
            ("HEAD", "/one", 405, Some("POST, OPTIONS")),
            ("OPTIONS", "/", 204, Some(ALL)),
            ("OPTIONS", "/none", 404, None),
            ("GET", "/none", 404, None),
        ] {
            let request = TestRequest::with_uri(path).method(method.parse::<http::Method>().unwrap());
            let answer = call_service(&app, request.to_request()).await;
            assert_eq!(answer.status().as_u16(), status, "{method} {path}");
            let headers = answer.headers();
            let told = headers.get(ALLOW).map(|allow| allow.to_str().unwrap());
            assert_eq!(told, allow, "{method} {path}");
        }
    }
}
