//! A trace as a waterfall of 100 columns: op, name, status, start and duration of every span.
//!
//! A line with a service's name is a transaction. Spans are indented below their parent, in the same service or in
//! another one. Log lines are indented below their span.

use crate::{
    paint::{Colour, Paint},
    trace::{Line, Span, Transaction},
};

const WIDTH: usize = 100;
/// The columns of a line's parts. Their sum with the spaces between them is [`WIDTH`].
const LABEL: usize = 54;
const STATUS: usize = 14;
const MILLIS: usize = 6;
const BAR: usize = 16;

/// One trace with its log lines.
pub(crate) fn render(trace: &[Transaction], logs: &[Line], paint: Paint) -> String {
    if trace.is_empty() {
        return paint.paint(Colour::Dim, "nothing arrived");
    }
    let mut rows = Vec::new();
    let nodes: Vec<Node<'_>> = trace.iter().flat_map(Node::of).collect();
    let mut roots: Vec<_> = nodes.iter().filter(|node| !nodes.iter().any(|other| other.is_parent_of(node))).collect();
    roots.sort_by(|a, b| a.span.start.total_cmp(&b.span.start));
    for root in roots {
        walk(root, &nodes, "", "", &mut rows);
    }
    let scale = Scale::of(&nodes);
    let header = line("", "status", "start", "took", &scale.text());
    let lines = rows.iter().flat_map(|row| {
        let logs = logs.iter().filter(|log| log.span == row.node.span.id).map(|log| row.render_log(log, scale, paint));
        std::iter::once(row.render(scale, paint)).chain(logs)
    });
    std::iter::once(paint.paint(Colour::Dim, header.trim_end())).chain(lines).collect::<Vec<_>>().join("\n")
}

/// A title with a line across the page.
pub(crate) fn title(text: &str, paint: Paint) -> String {
    let rule = "─".repeat(WIDTH.saturating_sub(text.chars().count() + 4));
    format!(
        "{} {} {}",
        paint.paint(Colour::Dim, "──"),
        paint.paint(Colour::Bold, text),
        paint.paint(Colour::Dim, &rule)
    )
}

#[derive(Clone, Copy)]
struct Node<'a> {
    span: &'a Span,
    /// The service, for the root of its transaction.
    service: Option<&'a str>,
    colour: Colour,
}

impl<'a> Node<'a> {
    fn of(transaction: &'a Transaction) -> impl Iterator<Item = Self> {
        let service = transaction.service.as_str();
        let colour = match service {
            "browser" => Colour::Green,
            "gateway" => Colour::Cyan,
            _ => Colour::Magenta,
        };
        let root = Self { span: &transaction.root, service: Some(service), colour };
        std::iter::once(root).chain(transaction.spans.iter().map(move |span| Self { span, service: None, colour }))
    }

    fn is_parent_of(&self, other: &Node<'_>) -> bool {
        other.span.parent.as_ref() == Some(&self.span.id)
    }
}

/// Adds a node and its descendants. `branch` is drawn before the node, `trunk` before its descendants.
fn walk<'a>(node: &Node<'a>, nodes: &[Node<'a>], branch: &str, trunk: &str, rows: &mut Vec<Row<'a>>) {
    let mut children: Vec<_> = nodes.iter().filter(|other| node.is_parent_of(other)).collect();
    children.sort_by(|a, b| a.span.start.total_cmp(&b.span.start));
    let bar = if children.is_empty() { "  " } else { "│ " };
    rows.push(Row { node: *node, branch: branch.to_owned(), below: format!("{trunk}{bar}") });
    let last = children.len().saturating_sub(1);
    for (place, child) in children.into_iter().enumerate() {
        let (corner, below) = if place == last { ("└ ", "  ") } else { ("├ ", "│ ") };
        walk(child, nodes, &format!("{trunk}{corner}"), &format!("{trunk}{below}"), rows);
    }
}

struct Row<'a> {
    node: Node<'a>,
    branch: String,
    /// Drawn before its log lines.
    below: String,
}

impl Row<'_> {
    fn render_log(&self, log: &Line, scale: Scale, paint: Paint) -> String {
        let level = format!("{} ", log.level);
        let used = self.below.chars().count() + level.chars().count();
        let text = cut(&log.text, LABEL.saturating_sub(used));
        let padding = " ".repeat(LABEL.saturating_sub(used + text.chars().count()));
        let start = millis(log.time - scale.start);
        let line = format!("{}{level}{text}{padding} {:STATUS$} {start:>MILLIS$}", self.below, "");
        paint.paint(Colour::Dim, line.trim_end())
    }

    fn render(&self, scale: Scale, paint: Paint) -> String {
        let Node { span, service, colour } = self.node;
        let (head, colours) = match service {
            Some(service) => (format!("{service}: "), (colour, Colour::Bold)),
            None => (String::new(), (colour, colour)),
        };
        let op = span.op.as_ref().map(|op| format!("{op} ")).unwrap_or_default();
        let tenant = span.data.get("tenant").and_then(|tenant| tenant.as_str());
        let tenant = tenant.map(|tenant| format!(" (tenant={tenant})")).unwrap_or_default();
        let used: usize = [&self.branch, &head, &op, &tenant].map(|text| text.chars().count()).iter().sum();
        let description = cut(&span.description, LABEL.saturating_sub(used));
        let padding = " ".repeat(LABEL.saturating_sub(used + description.chars().count()));
        let label = [
            paint.paint(Colour::Dim, &self.branch),
            paint.paint(colours.1, &paint.paint(colours.0, &head)),
            paint.paint(Colour::Yellow, &op),
            description,
            paint.paint(Colour::Dim, &tenant),
            padding,
        ];
        let status = format!("{:STATUS$}", span.status);
        let status = paint.paint(if span.status == "ok" { Colour::Green } else { Colour::Red }, &status);
        let (start, took) = (millis(span.start - scale.start), millis(span.end - span.start));
        let bar = paint.paint(colour, &scale.bar(span));
        format!("{} {status} {start:>MILLIS$} {took:>MILLIS$} {bar}", label.concat())
    }
}

/// Maps the time of a trace to columns.
#[derive(Clone, Copy)]
struct Scale {
    start: f64,
    end: f64,
}

impl Scale {
    fn of(nodes: &[Node<'_>]) -> Self {
        let start = nodes.iter().map(|node| node.span.start).fold(f64::INFINITY, f64::min);
        let end = nodes.iter().map(|node| node.span.end).fold(f64::NEG_INFINITY, f64::max);
        Self { start, end }
    }

    /// `0      12.3 ms`
    fn text(self) -> String {
        let end = format!("{} ms", millis(self.end - self.start));
        format!("0{end:>width$}", width = BAR - 1)
    }

    fn bar(self, span: &Span) -> String {
        let column = |time: f64| ((time - self.start) / (self.end - self.start) * BAR as f64).clamp(0.0, BAR as f64);
        let from = (column(span.start) as usize).min(BAR - 1);
        let to = (column(span.end).ceil() as usize).max(from + 1);
        let thin = column(span.end) - column(span.start) < 0.5;
        let bar = if thin { "▏".to_owned() } else { "█".repeat(to - from) };
        format!("{}{bar}", " ".repeat(from))
    }
}

fn line(label: &str, status: &str, start: &str, took: &str, bar: &str) -> String {
    format!("{label:LABEL$} {status:STATUS$} {start:>MILLIS$} {took:>MILLIS$} {bar}")
}

fn millis(seconds: f64) -> String {
    format!("{:.1}", seconds * 1000.0)
}

/// The text, cut to a number of columns.
fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn span(id: &str, parent: &str, description: &str, times: (f64, f64)) -> serde_json::Value {
        json!({
            "span_id": id, "parent_span_id": parent, "description": description, "status": "ok", "op": "db",
            "start_timestamp": times.0, "timestamp": times.1,
        })
    }

    fn log(span: &str, text: &str) -> Line {
        Line { span: span.to_owned(), level: "info".to_owned(), text: text.to_owned(), time: 0.001 }
    }

    fn transaction(service: &str, root: &serde_json::Value, spans: &[serde_json::Value]) -> Transaction {
        let event = json!({
            "transaction": root["description"],
            "contexts": { "trace": root, "otel": { "resource": { "service.name": service } } },
            "start_timestamp": root["start_timestamp"], "timestamp": root["timestamp"], "spans": spans,
        });
        Transaction::new(&event, None)
    }

    #[test]
    fn called_services_are_indented_below_their_caller() {
        let call = span("b", "a", "call", (0.001, 0.004));
        let first = transaction("gateway", &span("a", "browser", "page", (0.0, 0.016)), &[call]);
        let logs = [log("b", "asking"), log("c", "found"), log("z", "of another trace")];
        let second = transaction("inventory", &span("c", "b", "stock", (0.002, 0.003)), &[]);
        let text = render(&[second, first], &logs, Paint::none());
        let lines: Vec<_> = text.lines().map(str::trim_end).collect();
        assert!(lines[1].starts_with("gateway: db page "), "{text}");
        assert!(lines[1].ends_with("ok                0.0   16.0 ████████████████"), "{text}");
        assert!(lines[2].starts_with("└ db call "), "{text}");
        assert!(lines[3].starts_with("  │ info asking "), "{text}");
        assert!(lines[3].ends_with("   1.0"), "{text}");
        assert!(lines[4].starts_with("  └ inventory: db stock "), "{text}");
        assert!(lines[4].ends_with("   2.0    1.0   █"), "{text}");
        assert!(lines[5].starts_with("      info found "), "{text}");
        assert_eq!(lines.len(), 6, "{text}");
    }

    #[test]
    fn no_line_is_wider_than_a_page() {
        let long = span("a", "", &"x".repeat(500), (0.0, 0.0));
        let text = render(&[transaction("gateway", &long, &[])], &[log("a", &"y".repeat(500))], Paint::none());
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains('…'));
    }

    #[test]
    fn an_empty_trace_has_a_line_that_says_so() {
        assert_eq!(render(&[], &[], Paint::none()), "nothing arrived");
    }
}
