//! How long the answers of each route take. A series is named by the pattern of the route, never by the path
//! that a caller gave, so the series are bounded. A worker looks up each histogram once and keeps it.

use crate::metric;
use actix_web::http::{Method, StatusCode};
use metrics::Histogram;
use std::cell::OnceCell;
use std::time::Duration;

/// The methods that are named. All others are one.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];
/// The classes of statuses.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// The name of the route of all requests that have none.
const NO_ROUTE: &str = "other";

thread_local! {
    static OTHERS: Timed = Timed::of(NO_ROUTE);
}

/// The histograms of one route, on one worker.
pub struct Timed {
    route: String,
    histograms: [[OnceCell<Histogram>; CLASSES.len()]; METHODS.len()],
}

impl Timed {
    /// The histograms of the route with that pattern.
    pub fn of(pattern: &str) -> Self {
        Self { route: without_forms(pattern), histograms: Default::default() }
    }

    /// Notes an answer.
    pub fn note(&self, method: &Method, status: StatusCode, took: Duration) {
        let (method, class) = (place_of(method), class_of(status));
        let histogram = self.histograms[method][class].get_or_init(|| {
            metrics::histogram!(
                metric::HTTP_SECONDS,
                "route" => self.route.clone(),
                "method" => METHODS[method],
                "status" => CLASSES[class]
            )
        });
        histogram.record(took.as_secs_f64());
    }

    /// Notes an answer to a request that reached no route.
    pub fn note_without_route(method: &Method, status: StatusCode, took: Duration) {
        OTHERS.with(|others| others.note(method, status, took));
    }
}

/// The index of the status's class, from 0 for 1xx.
pub fn class_of(status: StatusCode) -> usize {
    usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1
}

/// The name of the class with that index.
pub fn class_name(class: usize) -> &'static str {
    CLASSES.get(class).copied().unwrap_or(CLASSES[CLASSES.len() - 1])
}

fn place_of(method: &Method) -> usize {
    let name = method.as_str();
    METHODS[..METHODS.len() - 1].iter().position(|known| *known == name).unwrap_or(METHODS.len() - 1)
}

/// The pattern without the forms of its variables: `/a/{b:[0-9]{4}}` is `/a/{b}`.
fn without_forms(pattern: &str) -> String {
    let mut shown = String::with_capacity(pattern.len());
    let (mut depth, mut in_form) = (0_u32, false);
    for char in pattern.chars() {
        match char {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                in_form &= depth > 0;
            }
            ':' if depth == 1 => in_form = true,
            _ => {}
        }
        if !in_form {
            shown.push(char);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_named_without_the_forms_of_its_variables() {
        for (pattern, shown) in [
            ("/healthz", "/healthz"),
            ("/api/maps/{map}", "/api/maps/{map}"),
            ("/a/{path:.*}", "/a/{path}"),
            ("/a/{event:[0-9A-Za-z]{4}}/b/{c}", "/a/{event}/b/{c}"),
        ] {
            assert_eq!(without_forms(pattern), shown);
        }
    }

    #[test]
    fn statuses_and_methods_of_any_caller_have_few_names() {
        assert_eq!(class_name(class_of(StatusCode::SWITCHING_PROTOCOLS)), "1xx");
        assert_eq!(class_name(class_of(StatusCode::NOT_FOUND)), "4xx");
        assert_eq!(METHODS[place_of(&Method::PATCH)], "PATCH");
        assert_eq!(METHODS[place_of(&Method::TRACE)], "other");
    }
}
