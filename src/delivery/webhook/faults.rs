//! What is wrong with a webhook whatever its receiver says: told without asking anybody.

use super::guard::Guard;
use super::start::Webhooks;
use crate::core::webhook::form::Plain;
use crate::core::webhook::{Ordering, Target};

/// Address, template and expressions that can't be used, each beginning with the field's name. A name is not resolved.
pub fn faults(plain: &Plain, guard: &Guard) -> Vec<String> {
    let mut faults = Vec::new();
    let mut tell = |field: &str, wrong: Option<String>| faults.extend(wrong.map(|wrong| format!("{field}: {wrong}")));
    if let Target::Http(url) = &plain.private.target {
        tell("url", guard.target(url).err().map(|error| error.to_string()));
    }
    if let Some(template) = &plain.endpoint.template {
        tell(
            "template",
            Webhooks::check_template(&template.body, &template.content_type).err().map(|error| error.to_string()),
        );
    }
    if let Some(expression) = &plain.endpoint.filter.expression {
        tell("filter.expression", Webhooks::check_expression(expression).err());
    }
    if let Ordering::Key(key) = &plain.endpoint.ordering {
        tell("ordering_key", Webhooks::check_key(key).err());
    }
    faults
}
