//! What the text of an SQL statement tells: its operation, its tables, and the database whose dialect it is.
//!
//! This reads words, not grammar. A statement that it does not understand has fewer targets in its summary.

/// How much of a statement is read. Long statements are long lists of values, behind the names of the tables.
const MAX_READ: usize = 8 << 10;

/// The longest summary, in bytes, by OpenTelemetry's conventions.
const MAX_SUMMARY: usize = 255;

/// How many names a `WITH` may define. Further ones are taken for tables.
const MAX_DEFINED: usize = 16;

/// How deep parentheses are followed. What is deeper adds nothing to the summary.
const MAX_DEPTH: usize = 32;

/// Words that begin a statement, also inside of another one.
const OPERATIONS: [&str; 5] = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"];

/// Words whose next name is a table, whatever the statement.
const BEFORE_TABLE: [&str; 3] = ["INTO", "JOIN", "TABLE"];

/// Words between such a word and the name.
const FILLERS: [&str; 8] = ["ONLY", "LATERAL", "IF", "NOT", "EXISTS", "TABLE", "OR", "IGNORE"];

/// Words before an `UPDATE` or a `DELETE` that is a clause: `FOR UPDATE`, `ON DELETE CASCADE`, `DO UPDATE SET`.
const BEFORE_CLAUSE: [&str; 6] = ["FOR", "ON", "DO", "KEY", "THEN", "AFTER"];

/// Words after which a question mark is no operator of PostgreSQL, which needs a value on its left side.
const BEFORE_VALUE: [&str; 6] = ["LIMIT", "OFFSET", "LIKE", "BETWEEN", "AND", "VALUES"];

/// What is known of a statement.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Statement {
    /// Its first word, in capitals. Empty if it has none.
    pub(super) operation: String,
    /// Operations and targets in the order of the text, as in `INSERT archive SELECT orders`.
    pub(super) summary: String,
    /// The table, if there is only one.
    pub(super) collection: Option<String>,
    /// The procedure that it calls.
    pub(super) procedure: Option<String>,
    /// The database in whose dialect the statement is written, if it has something that no other one allows.
    pub(super) dialect: Option<&'static str>,
}

impl Statement {
    pub(super) fn read(text: &str) -> Self {
        let mut reader = Reader::default();
        let mut rest = start_of(text);
        while let Some((token, next)) = token(rest) {
            reader.take(token, next);
            rest = next;
        }
        reader.finish()
    }
}

fn start_of(text: &str) -> &str {
    let end = (0..=MAX_READ.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A word without quotes: of the language or a name.
    Word(&'a str),
    /// A name in quotes, and the quote.
    Quoted(&'a str, char),
    /// A text, a number, or a placeholder with a name.
    Value,
    /// `$1`.
    Dollar,
    Sign(char),
}

/// The first token of a text, and what follows. Comments and blanks are no tokens.
fn token(text: &str) -> Option<(Token<'_>, &str)> {
    let mut text = text.trim_start();
    while let Some(rest) = comment(text) {
        text = rest.trim_start();
    }
    let first = text.chars().next()?;
    let after = &text[first.len_utf8()..];
    Some(match first {
        '\'' => (Token::Value, until(after, "'").1),
        '"' | '`' => {
            let (name, rest) = until(after, if first == '"' { "\"" } else { "`" });
            (Token::Quoted(name, first), rest)
        }
        '$' => dollar(after),
        '@' | ':' if after.starts_with(is_word) => (Token::Value, word(after).1),
        first if first.is_ascii_digit() => (Token::Value, word(text).1),
        first if is_word(first) => {
            let (word, rest) = word(text);
            (Token::Word(word), rest)
        }
        first => (Token::Sign(first), after),
    })
}

/// What follows a comment, if the text begins with one.
fn comment(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix("--") {
        return Some(until(rest, "\n").1);
    }
    text.strip_prefix("/*").map(|rest| until(rest, "*/").1)
}

/// A text up to its end, and what follows the end. Without an end it is the whole text.
fn until<'a>(text: &'a str, end: &str) -> (&'a str, &'a str) {
    text.split_once(end).unwrap_or((text, ""))
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c| !is_word(c) && c != '$').unwrap_or(text.len()))
}

/// A placeholder `$1`, or a text such as `$$it's$$` or `$tag$it's$tag$`.
fn dollar(after: &str) -> (Token<'_>, &str) {
    let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits > 0 {
        return (Token::Dollar, &after[digits..]);
    }
    let tag = after.find(|c| !is_word(c)).unwrap_or(after.len());
    match after[tag..].strip_prefix('$') {
        Some(body) => (Token::Value, until(body, &format!("${}$", &after[..tag])).1),
        None => (Token::Sign('$'), after),
    }
}

/// What the next name is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expects {
    #[default]
    Nothing,
    Table,
    /// A name after `FROM`, which may also be a function.
    Source,
    Procedure,
}

/// A statement between parentheses, or the whole text.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    /// Its operation reads `FROM` a table: not so in `extract(year FROM time)`.
    has_source: bool,
    /// The names after `FROM` go on after a comma.
    is_list: bool,
}

#[derive(Debug, Default)]
struct Reader {
    statement: Statement,
    expects: Expects,
    frame: Frame,
    outer: Vec<Frame>,
    /// Parentheses that are deeper than [`MAX_DEPTH`].
    too_deep: usize,
    /// The names that a `WITH` defines.
    defined: Vec<String>,
    is_with: bool,
    /// The tables, as far as a second one was not found.
    tables: Vec<String>,
    /// The last word in capitals. Empty after anything else.
    word: String,
    /// The last name outside of parentheses, for `WITH name (…) AS (`.
    name: String,
    /// A value may end with the last token, so that an operator can follow.
    ends_value: bool,
}

impl Reader {
    fn take(&mut self, token: Token<'_>, rest: &str) {
        match token {
            Token::Word(word) if self.too_deep == 0 => self.word(word, rest),
            Token::Quoted(name, quote) if self.too_deep == 0 => {
                if quote == '`' {
                    self.statement.dialect = Some("mysql");
                }
                self.name(name, rest);
            }
            Token::Sign(sign) => return self.sign(sign),
            Token::Dollar => _ = self.statement.dialect.get_or_insert("postgresql"),
            Token::Word(_) | Token::Quoted(..) | Token::Value => {}
        }
        self.ends_value = !matches!(token, Token::Word(_)) || !BEFORE_VALUE.contains(&self.word.as_str());
        if !matches!(token, Token::Word(_)) {
            self.word.clear();
        }
    }

    fn word(&mut self, word: &str, rest: &str) {
        let capitals = word.to_ascii_uppercase();
        let previous = std::mem::replace(&mut self.word, capitals.clone());
        if self.expects != Expects::Nothing && FILLERS.contains(&capitals.as_str()) {
            return;
        }
        let is_first = self.statement.operation.is_empty();
        let is_clause = BEFORE_CLAUSE.contains(&previous.as_str());
        match capitals.as_str() {
            "WITH" if is_first => self.is_with = true,
            operation if OPERATIONS.contains(&operation) && !is_clause && self.expects == Expects::Nothing => {
                self.begin(operation);
            }
            "FROM" if self.frame.has_source && previous != "DISTINCT" => {
                self.frame = Frame { has_source: false, is_list: true };
                self.expects = Expects::Source;
            }
            word if !is_first && BEFORE_TABLE.contains(&word) => self.expects = Expects::Table,
            first if is_first && !self.is_with => self.begin(first),
            "AS" | "NOT" | "MATERIALIZED" => {}
            _ => {
                self.frame.is_list &= !ENDS_LIST.contains(&capitals.as_str());
                self.name(word, rest);
            }
        }
    }

    fn begin(&mut self, operation: &str) {
        if self.statement.operation.is_empty() {
            operation.clone_into(&mut self.statement.operation);
        }
        self.append(operation);
        self.frame = Frame { has_source: matches!(operation, "SELECT" | "DELETE"), is_list: false };
        self.expects = match operation {
            "UPDATE" | "TRUNCATE" | "COPY" => Expects::Table,
            "CALL" | "EXEC" | "EXECUTE" => Expects::Procedure,
            _ => Expects::Nothing,
        };
    }

    /// A name, if one is expected; with its schema, as in `shop.orders`.
    fn name(&mut self, name: &str, rest: &str) {
        if self.is_with && self.outer.is_empty() {
            name.clone_into(&mut self.name);
        }
        let expects = std::mem::take(&mut self.expects);
        let rest = rest.trim_start();
        if rest.starts_with('.') {
            // The last part is the table. A schema would only make the summary longer.
            self.expects = expects;
            return;
        }
        match expects {
            Expects::Nothing => return,
            _ if self.statement.operation.is_empty() => return,
            Expects::Source if rest.starts_with('(') => return,
            _ if self.defined.iter().any(|defined| defined == name) => return,
            Expects::Procedure => self.statement.procedure = Some(name.to_owned()),
            Expects::Table | Expects::Source => {
                if self.tables.len() < 2 && !self.tables.iter().any(|table| table == name) {
                    self.tables.push(name.to_owned());
                }
            }
        }
        self.append(name);
    }

    fn sign(&mut self, sign: char) {
        match sign {
            '(' if self.outer.len() == MAX_DEPTH => self.too_deep += 1,
            '(' => {
                let defines = self.is_with && matches!(self.word.as_str(), "AS" | "MATERIALIZED");
                if defines && self.outer.is_empty() && self.defined.len() < MAX_DEFINED {
                    self.defined.push(std::mem::take(&mut self.name));
                }
                self.outer.push(std::mem::take(&mut self.frame));
                self.expects = Expects::Nothing;
            }
            ')' if self.too_deep > 0 => self.too_deep -= 1,
            ')' => self.frame = self.outer.pop().unwrap_or_default(),
            ',' if self.frame.is_list && self.too_deep == 0 => self.expects = Expects::Source,
            '?' if !self.ends_value => _ = self.statement.dialect.get_or_insert("mysql"),
            _ => {}
        }
        self.ends_value = matches!(sign, ')' | ']' | '?');
        self.word.clear();
    }

    fn append(&mut self, part: &str) {
        let summary = &mut self.statement.summary;
        let length = summary.len() + usize::from(!summary.is_empty()) + part.len();
        if length > MAX_SUMMARY {
            return;
        }
        if !summary.is_empty() {
            summary.push(' ');
        }
        summary.push_str(part);
    }

    fn finish(self) -> Statement {
        let Self { mut statement, mut tables, .. } = self;
        statement.collection = if tables.len() == 1 { tables.pop() } else { None };
        statement
    }
}

/// Words behind the list after `FROM`.
const ENDS_LIST: [&str; 8] = ["WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "SET", "UNION", "RETURNING"];
