//! Finds the lines that a page says its blocks print.

/// Looks for the lines in this order, after the first `from` bytes of the output. Returns where the last of
/// them ends, or the first line that is missing. In a line `…` stands for anything, and any blanks for any
/// others.
pub(super) fn find(output: &str, from: usize, lines: &str) -> Result<usize, String> {
    let mut end = from;
    for wanted in lines.lines().filter(|line| !line.trim().is_empty()) {
        let pattern = squeezed(wanted);
        let mut at = end;
        let mut rest = output.get(end..).unwrap_or_default().split_inclusive('\n');
        end = rest
            .find_map(|line| {
                at += line.len();
                matches(&pattern, &squeezed(line)).then_some(at)
            })
            .ok_or_else(|| wanted.trim().to_owned())?;
    }
    Ok(end)
}

fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn lines_are_found_in_order() {
    let output = "one\n  NAME   STATE\nid 7 of 9\nlast";
    assert_eq!(find(output, 0, "one\nid … of …\n"), Ok(output.len() - 4));
    assert_eq!(find(output, 4, "NAME STATE\n\nl…t\n"), Ok(output.len()));
    assert_eq!(find(output, 4, "one\n"), Err("one".to_owned()));
    assert_eq!(find(output, 0, "last\none\n"), Err("one".to_owned()));
    assert_eq!(find(output, 0, "id\n"), Err("id".to_owned()));
    assert_eq!(find(output, 0, "…7…9\n"), Ok(output.len() - 4));
}
