//! Puts the node's name on each log line, whatever writes the line: logs of several nodes are read together.

use std::{
    io::{self, Write},
    sync::Arc,
};

use crate::config::{Config, LogFormat};

/// Standard error for log lines of a node. A line of text begins with the node's name; a line of JSON has
/// it as `node_name`. Each write must be whole lines, as the log's are.
#[derive(Debug, Clone)]
pub(super) struct NamedLines(Arc<Named>);

#[derive(Debug)]
struct Named {
    format: LogFormat,
    /// What stands before the line, or before the first member of its object.
    head: String,
}

impl NamedLines {
    /// The lines of a node with this configuration.
    pub(super) fn of(config: &Config) -> Self {
        Self::new(config.log_format, &config.node.name())
    }

    fn new(format: LogFormat, name: &str) -> Self {
        // A name has no character that JSON escapes.
        let head = match format {
            LogFormat::Text => format!("{name} "),
            LogFormat::Json => format!("{{\"node_name\":\"{name}\","),
        };
        Self(Arc::new(Named { format, head }))
    }

    /// The line with the name.
    fn named(&self, line: &[u8]) -> Vec<u8> {
        let Named { format, head } = &*self.0;
        let rest = match format {
            LogFormat::Text => line,
            // An object without a member, or what is no object, stays as it is.
            LogFormat::Json => match line.strip_prefix(b"{") {
                Some(rest) if !rest.starts_with(b"}") => rest,
                _ => return line.to_vec(),
            },
        };
        [head.as_bytes(), rest].concat()
    }
}

impl Write for NamedLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(&self.named(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_the_name_of_its_node() {
        let named = |format, line: &str| {
            String::from_utf8_lossy(&NamedLines::new(format, "berlin-2").named(line.as_bytes())).into_owned()
        };
        assert_eq!(named(LogFormat::Text, "INFO it serves\n"), "berlin-2 INFO it serves\n");
        assert_eq!(named(LogFormat::Json, "{\"a\":1}\n"), "{\"node_name\":\"berlin-2\",\"a\":1}\n");
        assert_eq!(named(LogFormat::Json, "{}\n"), "{}\n");
        assert_eq!(named(LogFormat::Json, "x\n"), "x\n");
    }
}
