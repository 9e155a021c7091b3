//! Stack traces as Sentry's frames. The rules are in the guide, page `mapping`, section "Errors".
//!
//! `text.rs` finds the lines that are frames, and `path.rs` parses the path of a function.

mod path;
mod text;

use std::borrow::Cow;

use opentelemetry::Value;
use opentelemetry_sentry_semantics::{Attributes, semconv};
use serde::Serialize;

use self::{
    path::{crate_of, module, without_hashes},
    text::{Location, OUTERMOST, Symbol, symbols},
};

/// The most frames of a stack trace that Sentry keeps.
const MAX_FRAMES: usize = 250;

/// Crates whose frames surround a panic or the creation of an error. They are removed at the inner end.
const MACHINERY: [&str; 8] = ["std", "core", "alloc", "backtrace", "__rustc", "anyhow", "eyre", "color_eyre"];

/// Well-known libraries, for traces without directories. Add one if its frames are shown as the application's own.
const LIBRARIES: [&str; 15] = [
    "axum",
    "axum_core",
    "crossbeam",
    "diesel",
    "h2",
    "mio",
    "rayon",
    "reqwest",
    "rocket",
    "serde",
    "serde_json",
    "stable_eyre",
    "tower",
    "tower_http",
    "warp",
];

/// The same for families of crates: `tracing` includes `tracing_core`.
const FAMILIES: [&str; 8] = ["actix", "futures", "hyper", "opentelemetry", "sentry", "sqlx", "tokio", "tracing"];

/// An entry of `stacktrace.frames`.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Frame<'a> {
    /// With its full path, without hashes. Empty if only the place is known.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) function: Cow<'a, str>,
    /// The path of the module, type or trait that contains the function. A closure is in the module of its function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) module: Option<Cow<'a, str>>,
    /// A relative path without `./`, or the last part of an absolute one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filename: Option<&'a str>,
    /// The path as in the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) abs_path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lineno: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) colno: Option<u32>,
    pub(crate) in_app: bool,
}

/// The frames of a Rust stack trace, the outermost first. Any other text has no frames.
pub(crate) fn frames(text: &str) -> Vec<Frame<'_>> {
    let mut frames: Vec<_> = symbols(text).into_iter().map(Frame::from).collect();
    let is_machinery = |name| MACHINERY.contains(&name);
    let first = frames.iter().position(|frame| crate_of(&frame.function).is_some_and(|name| !is_machinery(name)));
    frames.drain(..first.unwrap_or(0));
    if frames.len() > MAX_FRAMES {
        frames.drain(MAX_FRAMES - OUTERMOST..frames.len() - OUTERMOST);
    }
    frames.reverse();
    frames
}

impl<'a> From<Symbol<'a>> for Frame<'a> {
    fn from(symbol: Symbol<'a>) -> Self {
        let function = without_hashes(symbol.name);
        let module = match &function {
            Cow::Borrowed(function) => module(function).map(Cow::Borrowed),
            Cow::Owned(function) => module(function).map(|module| Cow::Owned(module.to_owned())),
        };
        let location = symbol.location;
        Self {
            in_app: is_in_app(&function, location),
            function,
            module,
            filename: location.map(|location| location.filename()),
            abs_path: location.map(|location| location.path),
            lineno: location.and_then(|location| location.line),
            colno: location.and_then(|location| location.column),
        }
    }
}

/// The frame that `code.*` attributes describe, as those of an `error!` with its place.
pub(crate) fn place(attributes: Attributes<'_>) -> Option<Frame<'_>> {
    let function = attributes.first_text([semconv::CODE_FUNCTION_NAME, semconv::CODE_FUNCTION]);
    let module = attributes.first_text([semconv::CODE_MODULE_NAME, semconv::CODE_NAMESPACE]);
    let path =
        [semconv::CODE_FILE_PATH, semconv::CODE_FILEPATH].into_iter().find_map(|key| match attributes.get(key) {
            Some(Value::String(path)) if !path.as_str().is_empty() => Some(path.as_str()),
            _ => None,
        });
    let lines = [semconv::CODE_LINE_NUMBER, semconv::CODE_LINENO];
    let line = lines.into_iter().find_map(|key| attributes.integer(key)).and_then(|line| u32::try_from(line).ok());
    let location = path.map(|path| Location { path, line, column: None });
    // A file or a function alone is worth a frame; a line alone is not.
    (location.is_some() || function.is_some()).then(|| Frame {
        in_app: match module.as_deref().or(function.as_deref()) {
            Some(path) => is_in_app(path, location),
            None => location.is_some_and(|location| !location.is_library()),
        },
        function: function.unwrap_or_default(),
        module,
        filename: location.map(|location| location.filename()),
        abs_path: path,
        lineno: line,
        colno: None,
    })
}

fn is_in_app(function: &str, location: Option<Location<'_>>) -> bool {
    if location.is_some_and(|location| location.is_library()) {
        return false;
    }
    match crate_of(function) {
        Some(name) => !is_library(name),
        // A name without a path: C's start-up code, or a function that the application exports to C.
        None => {
            let is_rust = location.is_some_and(|location| location.is_rust());
            is_rust && !function.starts_with(['<', '_']) && function != "main"
        }
    }
}

fn is_library(name: &str) -> bool {
    let family = name.split_once('_').map_or(name, |(family, _)| family);
    MACHINERY.contains(&name) || LIBRARIES.contains(&name) || FAMILIES.contains(&family)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHORT: &str = "   0: shop::buy
             at ./src/main.rs:6:35
   1: <shop::Cart<T> as shop::Buy>::buy::{{closure}}
             at ./src/main.rs:5
   2: <alloc::boxed::Box<F,A> as core::ops::function::FnOnce<Args>>::call_once
             at /rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/alloc/src/boxed.rs:2240:9
   3: shop::main
             at ./src/main.rs:11:20
   4: std::sys::backtrace::__rust_begin_short_backtrace
             at /rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/std/src/sys/backtrace.rs:166:18
   5: main
   6: __libc_start_call_main
             at ./csu/../sysdeps/nptl/libc_start_call_main.h:58:16
   7: _start
";

    fn functions(text: &str) -> Vec<String> {
        frames(text).into_iter().map(|frame| frame.function.into_owned()).collect()
    }

    fn in_app(text: &str) -> Vec<String> {
        let frames = frames(text).into_iter().filter(|frame| frame.in_app);
        frames.map(|frame| frame.function.into_owned()).collect()
    }

    #[test]
    fn the_frames_of_a_short_backtrace_are_reversed() {
        let functions = functions(SHORT);
        assert_eq!(functions.len(), 8);
        assert_eq!(functions[0], "_start");
        assert_eq!(functions[7], "shop::buy");
        assert_eq!(in_app(SHORT), ["shop::main", "<shop::Cart<T> as shop::Buy>::buy::{{closure}}", "shop::buy"]);
    }

    #[test]
    fn a_frame_has_what_the_text_has_and_nothing_else() {
        let frames = frames(SHORT);
        assert_eq!(
            serde_json::to_value(&frames[7]).unwrap(),
            serde_json::json!({
                "function": "shop::buy", "module": "shop", "filename": "src/main.rs", "abs_path": "./src/main.rs",
                "lineno": 6, "colno": 35, "in_app": true,
            })
        );
        assert_eq!(
            serde_json::to_value(&frames[0]).unwrap(),
            serde_json::json!({"function": "_start", "in_app": false})
        );
        assert_eq!((frames[6].lineno, frames[6].colno), (Some(5), None));
        assert_eq!(frames[5].filename, Some("boxed.rs"));
        assert_eq!(frames[5].module.as_deref(), Some("alloc::boxed::Box<F,A>"));
    }

    #[test]
    fn carriage_returns_and_lost_indentation_change_nothing() {
        assert_eq!(frames(&SHORT.replace('\n', "\r\n")), frames(SHORT));
        let trimmed: Vec<_> = SHORT.lines().map(str::trim).collect();
        assert_eq!(frames(&trimmed.join("\n")), frames(SHORT));
    }

    #[test]
    fn a_full_backtrace_loses_its_hashes_and_its_machinery() {
        let text = "   0:     0x55a513b3859b - std[e28293b1aa0f68bd]::backtrace_rs::backtrace::libunwind::trace
                               at /rustc/5980/library/std/src/../../backtrace/src/backtrace/libunwind.rs:117:9
   1:     0x55a513b3859b - <std[e28293b1aa0f68bd]::backtrace::Backtrace>::create
                               at /rustc/5980/library/std/src/backtrace.rs:331:13
   2:     0x55a513b13304 - shop::inner::h1b03df8be9f58b21
                               at /home/me/shop/src/main.rs:6:35
   3:     0x55a513b13305 - <shop[1f]::Cart<[u8; 3]> as core[c1f1a4ba060b9bfa]::ops::function::Fn>::call
   4:     0x55a513b13306 - shop[1f]::main::{closure#0}
  28:                0x0 - <unknown>
";
        let frames = frames(text);
        let functions: Vec<_> = frames.iter().map(|frame| frame.function.as_ref()).collect();
        let call = "<shop::Cart<[u8; 3]> as core::ops::function::Fn>::call";
        assert_eq!(functions, ["shop::main::{closure#0}", call, "shop::inner"]);
        let modules: Vec<_> = frames.iter().map(|frame| frame.module.as_deref()).collect();
        assert_eq!(modules, [Some("shop"), Some("shop::Cart<[u8; 3]>"), Some("shop")]);
        assert_eq!(frames[2].filename, Some("main.rs"));
        assert_eq!(frames[2].abs_path, Some("/home/me/shop/src/main.rs"));
        assert!(frames.iter().all(|frame| frame.in_app));
    }

    #[test]
    fn numbered_causes_are_not_frames() {
        let text = "outer

Caused by:
    0: reading::config
    1: No such file or directory (os error 2)

Stack backtrace:
   0: <E as anyhow::context::ext::StdError>::ext_context
             at /root/.cargo/registry/src/registry-1949cf8c6b5b557f/anyhow-1.0.104/src/backtrace.rs:10:14
   1: anyhow::context::<impl anyhow::Context<T,E> for core::result::Result<T,E>>::context
   2: shop::read
   3: shop::main";
        assert_eq!(functions(text), ["shop::main", "shop::read"]);
        let (message, _) = text.split_once("Stack").unwrap();
        assert_eq!(frames(message), []);
        let numbered =
            "1: a list\n\nStack backtrace:\n   0: shop::main\n\nLocation:\n    src/main.rs:3:5\n   1: no::frame";
        assert_eq!(functions(numbered), ["shop::main"]);
    }

    #[test]
    fn a_panic_begins_where_it_was_raised() {
        let text = "thread 'main' (19546) panicked at src/main.rs:18:21:
index out of bounds: the len is 0 but the index is 3
stack backtrace:
   0: __rustc::rust_begin_unwind
             at /rustc/5980/library/std/src/panicking.rs:689:5
   1: core::panicking::panic_fmt
             at /rustc/5980/library/core/src/panicking.rs:80:14
   2: <alloc::vec::Vec<T,A> as core::ops::index::Index<I>>::index
   3: shop::main
             at ./src/main.rs:18:21
   4: std::panicking::catch_unwind::do_call
      [... omitted 12 frames ...]
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
   5: no::frame
";
        assert_eq!(functions(text), ["std::panicking::catch_unwind::do_call", "shop::main"]);
    }

    #[test]
    fn without_a_crate_of_the_application_nothing_is_removed() {
        assert_eq!(functions("0: core::panicking::panic\n1: std::rt::lang_start\n2: main").len(), 3);
    }

    #[test]
    fn inlined_functions_and_hidden_frames_are_understood() {
        let text = "  ━━━━━━━━━ BACKTRACE ━━━━━━━━━
                       ⋮ 7 frames hidden ⋮
   8:     0x55d0 - shop::inner::h0123456789abcdef
                        at src/cart.rs:3
                   shop::outer::h0123456789abcdef
                        at src/main.rs:9
                       ⋮ 12 frames hidden ⋮
Run with COLORBT_SHOW_HIDDEN=1";
        let frames = frames(text);
        let seen: Vec<_> = frames.iter().map(|frame| (frame.function.as_ref(), frame.lineno)).collect();
        assert_eq!(seen, [("shop::outer", Some(9)), ("shop::inner", Some(3))]);
    }

    #[test]
    fn wherever_the_text_is_cut_the_frames_above_stay() {
        for (at, _) in SHORT.char_indices() {
            let above = SHORT[..at].matches(": ").count().saturating_sub(1);
            let frames = frames(&SHORT[..at]);
            assert!(frames.len() >= above, "{}", &SHORT[..at]);
            assert!(frames.is_empty() || above == 0 || frames[frames.len() - 1].function == "shop::buy");
        }
    }

    #[test]
    fn other_texts_have_no_frames() {
        for text in [
            "",
            "\n\n",
            "connection refused",
            "disabled backtrace",
            "[\"connection refused\",\"os::error\"]",
            "java.lang.IllegalStateException: no\n\tat com.shop.Cart.buy(Cart.java:3)\n\tat com.shop.Main.main(Main.java:9)",
            "TypeError: x is not a function\n    at buy (/app/src/cart.js:3:5)\n    at Object.<anonymous> (main.js:9:1)",
            "    at buy (/app/src/cart.js:3:5)\n    at main.js:9:1\n   0: a::b",
            "Traceback (most recent call last):\n  File \"shop.py\", line 3, in buy\n    raise ValueError(\"no\")\nValueError: no",
            "goroutine 1 [running]:\nmain.main()\n\t/app/main.go:3 +0x1d",
            "#0 /app/cart.php(3): buy()\n#1 {main}",
            "0: milk\n1: bread",
            "    0: reading\n    1: std::io says no such file",
            "Caused by:\n    0: shop::read\n    1: shop::open",
        ] {
            assert_eq!(frames(text), [], "{text}");
        }
    }

    #[test]
    fn modules_and_the_applications_own_frames_are_recognised() {
        for (function, module, in_app) in [
            ("shop::cart::buy", Some("shop::cart"), true),
            ("shop::cart::buy::{{closure}}::{{closure}}", Some("shop::cart"), true),
            ("shop::buy::<std::fs::File>::inner::<u8>", Some("shop::buy"), true),
            ("<shop::Cart<T> as core::fmt::Debug>::fmt", Some("shop::Cart<T>"), true),
            ("<&mut shop::Cart as shop::Buy>::buy::inner", Some("<&mut shop::Cart as shop::Buy>::buy"), true),
            ("<shop::Cart>::buy", Some("shop::Cart"), true),
            ("<fn(u8) -> shop::Cart as shop::Buy>::buy", Some("shop::Buy"), true),
            ("shop::x::<impl shop::Buy for alloc::string::String>::buy", Some("shop::x"), true),
            ("coreutils::main", Some("coreutils"), true),
            ("std_shop::main", Some("std_shop"), true),
            ("<F as core::ops::FnOnce<A>>::call_once", Some("core::ops::FnOnce<A>"), false),
            ("<usize as core::slice::SliceIndex<[T]>>::index", Some("core::slice::SliceIndex<[T]>"), false),
            ("<core::pin::Pin<shop::Cart> as core::future::Future>::poll", Some("core::pin::Pin<shop::Cart>"), false),
            ("<tokio_util::task::Join<shop::Cart>>::poll", Some("tokio_util::task::Join<shop::Cart>"), false),
            ("core::iter::<impl core::iter::Step for u8>::next", Some("core::iter"), false),
            ("opentelemetry_sdk::trace::Span::end", Some("opentelemetry_sdk::trace::Span"), false),
            ("main", None, false),
            ("__libc_start_main", None, false),
            ("<unknown>", None, false),
            ("::h0123456789abcdef", None, false),
        ] {
            // The frame below prevents the removal of the tested one, and makes the text a trace.
            let text = format!("0: shop::top\n1: {function}");
            let frames = frames(&text);
            assert_eq!(frames[0].function, function);
            assert_eq!(frames[0].module.as_deref(), module, "{function}");
            assert_eq!(frames[0].in_app, in_app, "{function}");
        }
    }

    #[test]
    fn the_file_decides_whether_a_frame_is_the_applications_own() {
        for (path, in_app) in [
            ("/root/.cargo/registry/src/index/acme-1.0.0/src/lib.rs:1:2", false),
            ("/usr/local/cargo/registry/src/index/acme-1.0.0/src/lib.rs:1:2", false),
            ("/home/me/.cargo/git/checkouts/acme/src/lib.rs:1:2", false),
            (r"C:\Users\me\.cargo\registry\src\index\acme-1.0.0\src\lib.rs:1:2", false),
            ("/home/me/.rustup/toolchains/stable/lib/rustlib/src/rust/library/std/src/rt.rs:1", false),
            (r"C:\work\acme\src\lib.rs:1:2", true),
            ("/home/me/registry/src/lib.rs:1", true),
        ] {
            let text = format!("0: acme::call\n at {path}");
            let frames = frames(&text);
            assert_eq!(frames[0].in_app, in_app, "{path}");
            assert_eq!(frames[0].lineno, Some(1), "{path}");
            assert!(frames[0].filename == Some("lib.rs") || frames[0].filename == Some("rt.rs"), "{path}");
        }
        assert_eq!(
            in_app("0: on_event\n at ./src/ffi.rs:1\n1: main\n at ./src/ffi.rs:1\n2: f\n at a.c:1"),
            ["on_event"]
        );
    }

    #[test]
    fn what_sentry_would_cut_is_missing_in_the_middle() {
        for count in [250, 251, 999, 1001, 5000] {
            let text: String = (0..count).map(|number| format!("{number}: shop::f{number}\n")).collect();
            let functions = functions(&text);
            assert_eq!(functions.len(), 250);
            assert_eq!(functions[249], "shop::f0", "the innermost");
            assert_eq!(functions[50], "shop::f199", "of {count}");
            assert_eq!(functions[0], format!("shop::f{}", count - 1), "the outermost");
            assert_eq!(functions[49], format!("shop::f{}", count - 50));
        }
    }

    #[test]
    fn numbers_that_are_too_large_are_left_out() {
        let frames = frames("99999999999999999999999: a::b\n at ./b.rs:99999999999:0");
        assert_eq!((frames[0].lineno, frames[0].colno, frames[0].filename), (None, None, Some("b.rs")));
    }

    /// Would take hours if anything looked at the rest of the text again and again.
    #[test]
    fn a_megabyte_is_read_once() {
        for (start, part) in [
            ("0: ", "<"),
            ("0: <", "<a as "),
            ("0: a::b", "["),
            ("0: ", "::"),
            ("0: a", "::h"),
            ("0: a::b", "[0"),
            ("0: ", "&mut "),
            ("0: a::b\n at ", ":1"),
            ("0: a::b\n", "0: a\n"),
            ("stack backtrace:\n0: ", "->"),
            ("", "0: a b\nbacktrace:\n"),
            ("0: ", "ü"),
        ] {
            let mut text = start.to_owned();
            text.push_str(&part.repeat(1_000_000 / part.len()));
            assert!(frames(&text).len() <= MAX_FRAMES);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(parts in prop::collection::vec(
            prop::sample::select(vec![
                "0: ", "0x0 - ", "0x5 - ", "a", "::", "<", ">", "->", " as ", "[1f]", "[", "]", "{", "}", "::h",
                "0123456789abcdef", "\n", "\r\n", "      ", " at ", ":", "7", "/", "\\", ".rs", "ü", "Backtrace:", "…",
            ]),
            0..40,
        )) {
            let text = parts.concat();
            for frame in frames(&text) {
                prop_assert!(!frame.function.is_empty());
            }
        }

        #[test]
        fn no_name_panics(name in "[:<>a&\\[\\]{} ü-]{0,20}") {
            for frame in frames(&format!("0: {name}\n at a.rs:1")) {
                prop_assert!(frame.module.as_deref() != Some(""));
            }
        }
    }
}
