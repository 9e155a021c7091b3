//! Finds the operation in a GraphQL document.

/// The longest name of an operation that is shown, in bytes.
const MAX_NAME: usize = 100;

/// The operation of a document that has only one, such as `query Me`, or `mutation` if it has no name.
pub(super) fn operation(document: &str) -> Option<String> {
    let mut operations = Vec::new();
    let mut rest = document;
    while let Some((definition, after)) = definition(rest) {
        operations.extend(of_definition(definition));
        if operations.len() > 1 {
            return None;
        }
        rest = after;
    }
    operations.pop()
}

/// The head of the next definition, which is the text before its selection, and what follows the definition.
fn definition(text: &str) -> Option<(&str, &str)> {
    let (mut depth, mut start) = (0_usize, None);
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'#' => at = end_of_line(text, at),
            b'"' => at = end_of_string(text, at),
            b'{' | b'(' | b'[' => {
                // The values of variables have braces, too.
                if *byte == b'{' && depth == 0 {
                    start = Some(at);
                }
                depth += 1;
            }
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                if let Some(start) = start.filter(|_| depth == 0) {
                    return Some((text.get(..start)?, text.get(at + 1..)?));
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The last byte of a comment.
fn end_of_line(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |length| at + length)
}

/// The closing quote of the string that begins here.
fn end_of_string(text: &str, at: usize) -> usize {
    let block = "\"\"\"";
    if text[at..].starts_with(block) {
        return text[at + block.len()..].find(block).map_or(text.len(), |length| at + length + 2 * block.len() - 1);
    }
    let mut escaped = false;
    let closes = |byte: &u8| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    };
    text.as_bytes()[at + 1..].iter().position(closes).map_or(text.len(), |length| at + 1 + length)
}

/// The operation of a definition; `None` for a fragment.
fn of_definition(head: &str) -> Option<String> {
    let lines = head.lines().map(|line| line.split('#').next().unwrap_or_default());
    let code = lines.collect::<Vec<_>>().join(" ");
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words = code.trim_start_matches(|c: char| !is_name(c)).splitn(2, |c: char| !is_name(c));
    let kind = words.next().filter(|word| !word.is_empty()).unwrap_or("query");
    if !["query", "mutation", "subscription"].contains(&kind) {
        return None;
    }
    let rest = words.next().unwrap_or_default().trim_start();
    let name = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
    Some(if name.is_empty() || name.len() > MAX_NAME { kind.to_owned() } else { format!("{kind} {name}") })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_only_operation_of_a_document_is_found() {
        for (document, wanted) in [
            ("query Me { me { name } }", Some("query Me")),
            ("{ me }", Some("query")),
            ("mutation Buy($order: Order = {id: 1, tags: [\"}\"]}) @live { buy }", Some("mutation Buy")),
            ("subscription{ted}", Some("subscription")),
            ("fragment F on User { name } query Me { ...F }", Some("query Me")),
            ("# query A { a }\nquery B { b }", Some("query B")),
            ("query C { c(text: \"\"\"} query D {\"\"\", other: \"\\\"}\") }", Some("query C")),
            ("query A { a } query B { b }", None),
            ("fragment F on User { name }", None),
            ("query Me", None),
            ("", None),
            ("}}{", None),
            ("\"\"\"", None),
            ("query é { a }", Some("query")),
        ] {
            assert_eq!(operation(document).as_deref(), wanted, "{document}");
        }
        let long = format!("query {} {{ a }}", "x".repeat(1000));
        assert_eq!(operation(&long).as_deref(), Some("query"));
    }

    proptest! {
        #[test]
        fn no_document_panics_and_every_operation_is_one_of_three(
            document in "(query|mutation|fragment|[{}()\\[\\]]|\"\"\"|\"|\\\\|#|\n|é|[a-z ]|.){0,40}",
        ) {
            if let Some(operation) = operation(&document) {
                let kind = operation.split(' ').next().unwrap_or_default().to_owned();
                prop_assert!(["query", "mutation", "subscription"].contains(&kind.as_str()), "{}", kind);
            }
        }
    }
}
