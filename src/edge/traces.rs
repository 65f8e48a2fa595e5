//! The trace that a request belongs to, by its header `traceparent` (W3C Trace Context).

use crate::core::event::NewEvent;
use crate::core::trace::TraceContext;
use actix_web::HttpRequest;

/// The trace of the request. A header that is not valid, or that comes twice, is as good as none.
pub fn trace_of(request: &HttpRequest) -> Option<TraceContext> {
    let mut all = request.headers().get_all("traceparent");
    let (first, second) = (all.next()?, all.next());
    if second.is_some() {
        return None;
    }
    TraceContext::parse(first.to_str().ok()?)
}

/// Adds the events to the trace of their request, except those that belong to one already.
pub fn add_to_trace(request: &HttpRequest, events: &mut [NewEvent]) {
    if let Some(trace) = trace_of(request) {
        events.iter_mut().for_each(|event| event.trace = event.trace.or(Some(trace)));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    const TRACEPARENT: &str = "traceparent";
    const ONE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const OTHER: &str = "00-0af7651916cd43dd8448eb211c80319c-0000000000000001-01";

    #[test]
    fn a_request_names_its_trace_once() {
        let with = |values: &[&str]| {
            let request = TestRequest::default();
            let add = |request: TestRequest, value: &&str| request.append_header((TRACEPARENT, *value));
            trace_of(&values.iter().fold(request, add).to_http_request())
        };
        assert_eq!(with(&[ONE]), TraceContext::parse(ONE));
        for values in [&[][..], &[""], &["x"], &[ONE, OTHER], &[ONE, ONE]] {
            assert_eq!(with(values), None, "{values:?}");
        }
    }

    #[test]
    fn an_event_that_names_its_trace_keeps_it() {
        let request = TestRequest::default().append_header((TRACEPARENT, ONE)).to_http_request();
        let plain = NewEvent::new(Default::default(), "a", "1");
        let own = NewEvent { trace: TraceContext::parse(OTHER), ..plain.clone() };
        let mut events = [plain, own];
        add_to_trace(&request, &mut events);
        let traces = events.map(|event| event.trace.unwrap().to_string());
        assert_eq!(traces, [ONE, OTHER]);
    }
}
