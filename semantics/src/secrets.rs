//! Finds secrets: by words in the names of attributes and of URL parameters, and by user info in URLs.

use crate::url::FILTERED_USER;

/// Replaces a value that must not be shown.
const FILTERED: &str = "[Filtered]";

/// Words in the key of an attribute whose text must not be shown, each with the set of its letters.
const SENSITIVE: [(&str, u32); 7] = [
    word("authorization"),
    word("cookie"),
    word("token"),
    word("secret"),
    word("password"),
    word("api-key"),
    word("api_key"),
];

/// Whether a key names a secret: it contains a word such as `token` or `password`, in any case.
///
/// ```
/// use opentelemetry_sentry_semantics::is_sensitive;
///
/// assert!(is_sensitive("http.request.header.Authorization"));
/// assert!(!is_sensitive("http.route"));
/// ```
#[must_use]
pub fn is_sensitive(key: &str) -> bool {
    // Most keys lack a letter of each word, and are not searched.
    let has = key.bytes().fold(0, |letters, byte| letters | 1_u32 << (byte & 31));
    let contains =
        |word: &str| key.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()));
    SENSITIVE.iter().any(|(word, letters)| has & letters == *letters && contains(word))
}

const fn word(word: &'static str) -> (&'static str, u32) {
    (word, letters(word))
}

/// The set of the letters of a text, ignoring case. Other characters share their bits, which only costs a search.
const fn letters(text: &str) -> u32 {
    let mut letters = 0;
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        letters |= 1 << (*first & 31);
        rest = others;
    }
    letters
}

/// A text with the secrets in its URLs filtered: user info, and the values of parameters whose names are
/// [sensitive](is_sensitive). `None` if there are none.
///
/// ```
/// use opentelemetry_sentry_semantics::without_secrets;
///
/// let error = "error sending request for url (https://me:pw@h.io/?api_key=x&page=2)";
/// let shown = "error sending request for url (https://[filtered]:[filtered]@h.io/?api_key=[Filtered]&page=2)";
/// assert_eq!(without_secrets(error).as_deref(), Some(shown));
/// assert_eq!(without_secrets("mail me@h.io"), None);
/// ```
#[must_use]
pub fn without_secrets(text: &str) -> Option<String> {
    if !text.contains(MARK) {
        return None;
    }
    // User info goes first, as a password may look like a parameter and hide what precedes it. It goes once more
    // because a filtered value may have held the slash that ended an authority, which now reaches to a later `@`.
    let mut shown = None;
    for filter in [without_user_info, without_parameters, without_user_info] {
        shown = filter(shown.as_deref().unwrap_or(text)).or(shown);
    }
    shown
}

/// Separates the scheme of a URL from its host.
const MARK: &str = "://";

/// A text with the user info of all its URLs filtered; `None` if no URL has any.
fn without_user_info(text: &str) -> Option<String> {
    if !text.as_bytes().contains(&b'@') {
        return None;
    }
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(MARK) {
        let (before, after) = rest.split_at(start + MARK.len());
        let ends = |c: char| matches!(c, '/' | '?' | '#' | '"' | '<' | '>') || c.is_whitespace();
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        shown.push_str(before);
        rest = after;
        if let Some(end) = authority.rfind('@') {
            shown.push_str(FILTERED_USER);
            rest = &after[end + 1..];
        }
    }
    shown.push_str(rest);
    (shown != text).then_some(shown)
}

/// A query, or a text with URLs, with the values of [sensitive](is_sensitive) parameters filtered; `None` if there are
/// none.
#[must_use]
pub fn without_parameters(text: &str) -> Option<String> {
    let ends_name = |c: char| matches!(c, '?' | '&' | '#' | ';' | '/') || c.is_whitespace();
    let ends_value = |c: char| matches!(c, '&' | '#' | ';' | '"' | '<' | '>' | ')') || c.is_whitespace();
    let mut shown = String::new();
    // How much of the text is in `shown`. Most texts have no secret, and nothing of them is copied.
    let mut copied = 0;
    let mut at = 0;
    // A parameter at the very beginning, or behind a filtered value, has no mark in front of it.
    let mut needs_mark = false;
    while let Some(length) = text[at..].find('=') {
        let before = &text[at..at + length];
        let start = before.rfind(ends_name);
        let mut name = before[start.unwrap_or(0)..].chars();
        // A name that follows a slash or a blank is not a parameter.
        let is_parameter = match start.and_then(|_| name.next()) {
            Some(mark) => matches!(mark, '?' | '&' | '#' | ';'),
            None => !needs_mark,
        };
        at += length + 1;
        needs_mark = true;
        if is_parameter && is_sensitive(name.as_str()) {
            let end = text[at..].find(ends_value).map_or(text.len(), |end| at + end);
            if end > at {
                shown.push_str(&text[copied..at]);
                shown.push_str(FILTERED);
                copied = end;
                needs_mark = false;
            }
            at = end;
        }
    }
    shown.push_str(text.get(copied..).filter(|_| copied > 0)?);
    (shown != text).then_some(shown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn user_info_is_filtered_in_every_url_of_a_text() {
        for (text, shown) in [
            ("https://user:pw@h.io:443/a?x#y", "https://[filtered]:[filtered]@h.io:443/a?x#y"),
            ("postgres://me:p@ss@db/shop", "postgres://[filtered]:[filtered]@db/shop"),
            ("postgres://u:it's-one@db/x", "postgres://[filtered]:[filtered]@db/x"),
            (
                "failed: https://u@h/ and ftp://a:b@c",
                "failed: https://[filtered]:[filtered]@h/ and ftp://[filtered]:[filtered]@c",
            ),
            ("://@", "://[filtered]:[filtered]@"),
            ("://@&token=:///)@&token=", "://[filtered]:[filtered]@&token="),
        ] {
            assert_eq!(without_secrets(text).as_deref(), Some(shown));
        }
        for text in ["a@b.c", "https://h/@me", "https://h/?to=a@b", "", "://", "é://ü", "https://h/ mail me@h"] {
            assert_eq!(without_secrets(text), None, "{text}");
        }
    }

    #[test]
    fn sensitive_parameters_are_filtered() {
        for (text, shown) in [
            ("https://h/a?x=1&API_KEY=2&t#f", "https://h/a?x=1&API_KEY=[Filtered]&t#f"),
            ("see https://h/#access_token=x.", "see https://h/#access_token=[Filtered]"),
            ("(https://h/?token=a=b) failed", "(https://h/?token=[Filtered]) failed"),
        ] {
            assert_eq!(without_secrets(text).as_deref(), Some(shown));
        }
        for text in ["token=1", "https://h/token=1", "https://h/?page=2", "https://h/?token", "https://h/?token=&x=1"] {
            assert_eq!(without_secrets(text), None, "{text}");
        }
        assert_eq!(without_parameters("token=1&x=2").as_deref(), Some("token=[Filtered]&x=2"));
    }

    #[test]
    fn sensitive_keys_are_recognised() {
        for key in
            ["authorization", "http.request.header.Cookie", "x-api-key", "dbPassword", "refresh_token", "SECRETS"]
        {
            assert!(is_sensitive(key), "{key}");
        }
        for key in ["http.route", "", "toke", "passwor", "apikey", "é", "author"] {
            assert!(!is_sensitive(key), "{key}");
        }
    }

    proptest! {
        #[test]
        fn filtering_a_filtered_text_changes_nothing(
            text in "(://|@|/|[?&#;]|token|x|=|[)\" ]|\\[Filtered\\]|.){0,24}",
        ) {
            let shown = without_secrets(&text).unwrap_or_else(|| text.clone());
            prop_assert_eq!(without_secrets(&shown).unwrap_or_else(|| shown.clone()), shown);
        }
    }
}
