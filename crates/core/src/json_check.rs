//! Checks JSON from callers in one pass over its text, before it is parsed.
//!
//! Refuses duplicate members, because parsers would silently take one of them; more values than a request may have,
//! because each takes many times its text in memory; longer lists than the limit; and nesting that parsers would
//! recurse into. Member names are compared unescaped. Syntax errors are left to the parser: this pass stops where the
//! text isn't JSON.

use std::{borrow::Cow, collections::HashSet, fmt};

/// The most objects and lists inside each other. `serde_json` reads one level less into values.
pub const DEEPEST: usize = 128;
/// The longest member name that a path shows; a longer one, or one of unusual characters, is shown as `…`.
const LONGEST_NAME: usize = 64;

/// The last steps of a path that a sentence shows.
const MOST_STEPS: usize = 8;

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    Member(String),
    Element(usize),
}

/// The reason why a text is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonFault {
    /// The member at this path is not the first of its name.
    DuplicateMember(Vec<PathStep>),
    TooManyValues {
        most: usize,
    },
    /// The list at this path has more elements than a list may have.
    TooLong {
        path: Vec<PathStep>,
        most: usize,
    },
    TooDeep,
}

/// The end of a path as a sentence shows it: `addresses[0].city`.
pub struct ShownPath<'a>(pub &'a [PathStep]);

impl fmt::Display for ShownPath<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.0.len().saturating_sub(MOST_STEPS);
        if start > 0 {
            formatter.write_str("…")?;
        }
        for (index, step) in self.0[start..].iter().enumerate() {
            match step {
                PathStep::Element(element) => write!(formatter, "[{element}]")?,
                PathStep::Member(name) if start + index == 0 => formatter.write_str(name)?,
                PathStep::Member(name) => write!(formatter, ".{name}")?,
            }
        }
        Ok(())
    }
}

/// Removes a UTF-8 byte order mark (RFC 8259 §8.1 lets a reader ignore it).
pub fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// The size of a text that is accepted.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Objects, lists, texts, numbers, booleans and nulls.
    pub values: usize,
    /// Elements of one list.
    pub list_length: usize,
}

impl Limits {
    /// Lists of any length, as far as the number of values allows.
    pub const fn of_values(values: usize) -> Self {
        Self {
            values,
            list_length: usize::MAX,
        }
    }
}

/// Checks a text that is accepted up to these limits.
///
/// # Errors
/// The first mistake in the order of the text.
pub fn check(text: &str, limits: Limits) -> Result<(), JsonFault> {
    let (mut rest, mut open, mut values) = (text, Vec::<Open<'_>>::new(), 0);
    while let Some(byte) = rest.bytes().next() {
        let length = match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b':' => 1,
            b',' => {
                match open.last_mut() {
                    Some(Open::Object { name, .. }) => *name = None,
                    Some(Open::List { element }) => {
                        *element += 1;
                        if *element >= limits.list_length {
                            let path = path(&open[..open.len() - 1]);
                            return Err(JsonFault::TooLong {
                                path,
                                most: limits.list_length,
                            });
                        }
                    }
                    None => return Ok(()),
                }
                1
            }
            b'}' | b']' => {
                if open.pop().is_none() {
                    return Ok(());
                }
                1
            }
            b'"' => {
                let Some(length) = string_length(rest) else {
                    return Ok(());
                };
                if let Some(Open::Object { names, name }) = open.last_mut()
                    && name.is_none()
                {
                    let new = unescaped(&rest[..length]);
                    let is_duplicate = !names.insert(new.clone());
                    *name = Some(new);
                    if is_duplicate {
                        return Err(JsonFault::DuplicateMember(path(&open)));
                    }
                    rest = &rest[length..];
                    continue;
                }
                values += 1;
                length
            }
            b'{' | b'[' => {
                values += 1;
                open.push(match byte {
                    b'{' => Open::Object {
                        names: HashSet::new(),
                        name: None,
                    },
                    _ => Open::List { element: 0 },
                });
                if open.len() > DEEPEST {
                    return Err(JsonFault::TooDeep);
                }
                1
            }
            _ => {
                values += 1;
                let end = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' | b'}' | b']' | b'"');
                rest.bytes().position(end).unwrap_or(rest.len())
            }
        };
        if values > limits.values {
            return Err(JsonFault::TooManyValues { most: limits.values });
        }
        rest = &rest[length..];
    }
    Ok(())
}

/// An object or list that has begun.
enum Open<'a> {
    Object {
        names: HashSet<Cow<'a, str>>,
        /// The name of the current member; none before it.
        name: Option<Cow<'a, str>>,
    },
    List {
        element: usize,
    },
}

fn path(open: &[Open<'_>]) -> Vec<PathStep> {
    let step = |open: &Open<'_>| match open {
        Open::Object { name, .. } => PathStep::Member(shown(name.as_deref().unwrap_or_default()).to_owned()),
        Open::List { element } => PathStep::Element(*element),
    };
    open.iter().map(step).collect()
}

fn shown(name: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$');
    let is_shown = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_plain);
    if is_shown { name } else { "…" }
}

/// The length of the string that the text begins with, quotes included; none when it doesn't end.
fn string_length(text: &str) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text.as_bytes()[at..]
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\'))?;
        match text.as_bytes()[at] {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
        if at > text.len() {
            return None;
        }
    }
}

/// The text that a string in quotes stands for. A string that stands for none is compared as it is written.
fn unescaped(string: &str) -> Cow<'_, str> {
    let inner = &string[1..string.len() - 1];
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    serde_json::from_str(string).map_or(Cow::Borrowed(inner), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};
    use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

    use super::{JsonFault, Limits, PathStep, ShownPath, check};

    fn duplicate(text: &str) -> Option<String> {
        match check(text, Limits::of_values(1_000)) {
            Ok(()) => None,
            Err(JsonFault::DuplicateMember(path)) => Some(ShownPath(&path).to_string()),
            Err(other) => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn duplicate_members_are_found_at_any_depth_and_however_escaped() {
        for (text, path) in [
            (r#"{"a":1,"b":1}"#, None),
            (r#"{"a":{"b":1},"b":{"b":1}}"#, None),
            (r#"[{"a":1},{"a":1}]"#, None),
            (r#"{"a":"a","b":["a","a"],"A":"\"a\":1"}"#, None),
            (r#"{"a":1,"a":1}"#, Some("a")),
            (r#"{"a":1,"\u0061":2}"#, Some("a")),
            (r#"{"\u0061b":1,"a\u0062":2}"#, Some("ab")),
            (r#"{"a\\":1,"a\\":2}"#, Some("…")),
            (r#"{"\ud800":1,"\ud800":2}"#, Some("…")),
            (
                r#" { "a" : [ { "b" : { } } , { "c" : 1 , "c" : 2 } ] } "#,
                Some("a[1].c"),
            ),
            (r#"[[],[{},{"a":{"b":[],"b":[]}}]]"#, Some("[1][1].a.b")),
            (r#"{"":1,"":2}"#, Some("…")),
            (r#"{"a b":1,"a b":2}"#, Some("…")),
            (
                r#"{"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":{"i":1,"i":1}}}}}}}}}"#,
                Some("….b.c.d.e.f.g.h.i"),
            ),
        ] {
            assert_eq!(duplicate(text).as_deref(), path, "{text}");
        }
    }

    #[test]
    fn values_are_counted_and_names_are_not() {
        for (text, values) in [
            ("1", 1),
            (r#"{"a":1,"b":[true,null,"x",{}]}"#, 7),
            ("[[[]]]", 3),
            ("[-1.5e3,2]", 3),
        ] {
            assert_eq!(check(text, Limits::of_values(values)), Ok(()), "{text}");
            let most = values - 1;
            let refused = Err(JsonFault::TooManyValues { most });
            assert_eq!(check(text, Limits::of_values(most)), refused, "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        for (levels, expected) in [(128, Ok(())), (129, Err(JsonFault::TooDeep))] {
            let text = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            assert_eq!(check(&text, Limits::of_values(1_000)), expected);
        }
    }

    #[test]
    fn length_of_every_list_is_bounded() {
        let limits = Limits {
            values: 1_000,
            list_length: 2,
        };
        let too_long = |path: &[&str]| {
            let path = path.iter().map(|name| PathStep::Member((*name).to_owned())).collect();
            Err(JsonFault::TooLong { path, most: 2 })
        };
        for (text, expected) in [
            ("[1,2]", Ok(())),
            ("[1,2,3]", too_long(&[])),
            (r#"{"a":[{},{}],"b":[[],[]],"c":1}"#, Ok(())),
            (r#"{"a":1,"b":2,"c":{"d":[[1,2],[3,4],[5"#, too_long(&["c", "d"])),
        ] {
            assert_eq!(check(text, limits), expected, "{text}");
        }
    }

    /// Duplicates as a reader finds them that keeps all members.
    struct Naive(bool);

    impl<'de> Deserialize<'de> for Naive {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(NaiveVisitor)
        }
    }

    struct NaiveVisitor;

    impl<'de> Visitor<'de> for NaiveVisitor {
        type Value = Naive;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("JSON")
        }

        fn visit_unit<E>(self) -> Result<Naive, E> {
            Ok(Naive(false))
        }

        fn visit_bool<E>(self, _: bool) -> Result<Naive, E> {
            Ok(Naive(false))
        }

        fn visit_u64<E>(self, _: u64) -> Result<Naive, E> {
            Ok(Naive(false))
        }

        fn visit_str<E>(self, _: &str) -> Result<Naive, E> {
            Ok(Naive(false))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Naive, A::Error> {
            let mut found = false;
            while let Some(Naive(is)) = list.next_element()? {
                found |= is;
            }
            Ok(Naive(found))
        }

        fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Naive, A::Error> {
            let (mut found, mut names) = (false, std::collections::HashSet::new());
            while let Some((name, Naive(is))) = object.next_entry::<String, Naive>()? {
                found |= is | !names.insert(name);
            }
            Ok(Naive(found))
        }
    }

    fn json() -> impl Strategy<Value = String> {
        let string = || {
            select(vec![
                r#""a""#,
                r#""\u0061""#,
                r#""b""#,
                r#""\"""#,
                r#""\\""#,
                r#""a\\\"a""#,
                r#""{\"a\":""#,
            ])
        };
        let leaf = prop_oneof![
            select(vec!["1", "true", "null", "0"]).prop_map(str::to_owned),
            string().prop_map(str::to_owned),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            let member = (string(), inner.clone()).prop_map(|(name, value)| format!("{name} : {value}"));
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(|all| format!("[{}]", all.join(" , "))),
                proptest::collection::vec(member, 0..4).prop_map(|all| format!("{{{}}}", all.join(","))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn duplicates_are_those_that_a_reader_finds(text in json()) {
            let Naive(expected) = serde_json::from_str(&text).expect("JSON");
            prop_assert_eq!(duplicate(&text).is_some(), expected, "{}", text);
        }

        #[test]
        fn any_text_is_checked_without_a_panic(text in "[\\[\\]{}:,\"\\\\u0ae\u{e9} ]{0,40}") {
            let _ = check(&text, Limits { values: 10, list_length: 3 });
        }
    }
}
