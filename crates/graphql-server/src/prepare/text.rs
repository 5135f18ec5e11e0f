//! One pass over the text of a document, before async-graphql parses it.
//!
//! It counts tokens, so that nothing large is parsed; it finds mistakes that the syntax tree no longer shows (a
//! duplicate member); and it rewrites text that the parser rejects or panics at (descriptions, long Unicode escapes).
//! It knows tokens only, neither the grammar nor the schema.

use std::{borrow::Cow, collections::HashSet};

use apollo_parser::{Lexer, Token, TokenKind};
use async_graphql::Pos;

use crate::{
    error::{Code, GraphqlError},
    limits::{Limits, exceeded, within},
};

/// The most brackets inside brackets. The parser recurses on them, and its own limit covers selections only.
const NESTING: usize = 64;

/// The most letters of a name. async-graphql compares an unknown name to every known one, to suggest the nearest.
const LONGEST_NAME: usize = 255;

/// The text of a document, ready for async-graphql's parser.
pub(super) struct Text<'a> {
    pub text: Cow<'a, str>,
    pub tokens: usize,
    pub directives: usize,
}

enum Open<'a> {
    Selection,
    Parenthesis,
    List,
    Object(HashSet<&'a str>),
}

/// Checks the text and rewrites it where necessary. Columns and lines stay the same.
///
/// # Errors
/// A syntax error, a limit, or an input object with the same field twice.
pub(super) fn read<'a>(query: &'a str, limits: &Limits) -> Result<Text<'a>, GraphqlError> {
    let (mut tokens, mut directives) = (0, 0);
    let mut open: Vec<Open<'a>> = Vec::new();
    // The two significant tokens before the current one, and whether the last may be a description.
    let mut previous: Option<Token<'a>> = None;
    let mut candidate: Option<Token<'a>> = None;
    let mut rewrites: Vec<(std::ops::Range<usize>, String)> = Vec::new();

    for item in Lexer::new(query) {
        let token = item.map_err(|error| syntax(position(query, error.index())))?;
        match token.kind() {
            TokenKind::Whitespace | TokenKind::Comment | TokenKind::Comma | TokenKind::Eof => {
                continue;
            }
            _ => tokens += 1,
        }
        within("tokens", tokens, limits.tokens)?;
        if let Some(text) = candidate.take()
            && described(&open, &token)
        {
            rewrites.push((range(&text), blank(text.data())));
        }
        match token.kind() {
            TokenKind::Name if token.data().len() > LONGEST_NAME => {
                let found = token.data().len();
                let error = exceeded("letters in one name", found, LONGEST_NAME);
                return Err(error.at(position(query, token.index())));
            }
            TokenKind::LParen => open.push(Open::Parenthesis),
            TokenKind::LBracket => open.push(Open::List),
            TokenKind::LCurly if open.iter().any(|bracket| matches!(bracket, Open::Parenthesis)) => {
                open.push(Open::Object(HashSet::new()));
            }
            TokenKind::LCurly => open.push(Open::Selection),
            TokenKind::RParen | TokenKind::RBracket | TokenKind::RCurly => drop(open.pop()),
            TokenKind::At => {
                directives += 1;
                within("directives", directives, limits.directives)?;
            }
            TokenKind::Colon => {
                if let (Some(Open::Object(seen)), Some(name)) = (open.last_mut(), &previous)
                    && !seen.insert(name.data())
                {
                    return Err(GraphqlError::new(
                        Code::ValidationFailed,
                        format!("The input field \"{}\" is given twice.", name.data()),
                    )
                    .at(position(query, name.index())));
                }
            }
            // async-graphql's parser reads it as a float.
            TokenKind::Int if token.data() == "-0" => rewrites.push((range(&token), " 0".to_owned())),
            TokenKind::StringValue => {
                if may_describe(&open, previous.as_ref()) {
                    candidate = Some(token.clone());
                }
                if let Some(literal) = plain(token.data()) {
                    rewrites.push((range(&token), literal));
                }
            }
            _ => {}
        }
        if open.len() > NESTING {
            return Err(exceeded("levels of brackets", open.len(), NESTING).at(position(query, token.index())));
        }
        previous = Some(token);
    }
    Ok(Text {
        text: rewritten(query, rewrites),
        tokens,
        directives,
    })
}

/// The error of a text that isn't GraphQL. It has the position only, because the text can contain personal data.
pub(super) fn syntax(pos: Pos) -> GraphqlError {
    GraphqlError::new(
        Code::ParseFailed,
        format!("Syntax error at line {}, column {}.", pos.line, pos.column),
    )
    .at(pos)
}

fn range(token: &Token<'_>) -> std::ops::Range<usize> {
    token.index()..token.index() + token.data().len()
}

/// A string may be a description before a definition, or before a variable of an operation.
fn may_describe(open: &[Open<'_>], previous: Option<&Token<'_>>) -> bool {
    match open {
        [] => true,
        [Open::Parenthesis] => !previous.is_some_and(|token| matches!(token.kind(), TokenKind::Eq | TokenKind::Colon)),
        _ => false,
    }
}

/// True if the token after a possible description makes it one.
fn described(open: &[Open<'_>], next: &Token<'_>) -> bool {
    match open {
        [] => matches!(next.data(), "query" | "mutation" | "subscription" | "fragment"),
        _ => next.kind() == TokenKind::Dollar,
    }
}

fn rewritten(query: &str, mut rewrites: Vec<(std::ops::Range<usize>, String)>) -> Cow<'_, str> {
    if rewrites.is_empty() {
        return Cow::Borrowed(query);
    }
    // A description with a long escape is there twice; blanking it, pushed last, wins.
    rewrites.reverse();
    rewrites.sort_by_key(|(range, _)| range.start);
    rewrites.dedup_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(query.len());
    let mut done = 0;
    for (range, text) in rewrites {
        out.push_str(&query[done..range.start]);
        out.push_str(&text);
        done = range.end;
    }
    out.push_str(&query[done..]);
    Cow::Owned(out)
}

/// Line and column, both from 1, of a byte offset; `\n`, `\r\n` and a lone `\r` end lines.
fn position(query: &str, index: usize) -> Pos {
    let before = query.get(..index).unwrap_or(query);
    let (mut line, mut column, mut after_return) = (1, 1, false);
    for c in before.chars() {
        match c {
            '\n' if after_return => {}
            '\n' | '\r' => (line, column) = (line + 1, 1),
            _ => column += 1,
        }
        after_return = c == '\r';
    }
    Pos { line, column }
}

/// White space with the same line ends and width.
fn blank(text: &str) -> String {
    text.chars()
        .map(|c| if matches!(c, '\n' | '\r') { c } else { ' ' })
        .collect()
}

/// A string literal with the same meaning that the parser reads correctly; None if it needs no change. The parser
/// panics at surrogate pairs, doesn't know `\u{…}`, and keeps the backslash of `\"""`. The text after a rewritten
/// literal keeps its line and column.
fn plain(literal: &str) -> Option<String> {
    if let Some(text) = literal
        .strip_prefix("\"\"\"")
        .and_then(|text| text.strip_suffix("\"\"\""))
    {
        return text.contains("\\\"\"\"").then(|| quoted(&block_value(text), literal));
    }
    if !literal.contains("\\u") {
        return None;
    }
    let mut out = String::with_capacity(literal.len());
    let mut rest = literal;
    let mut changed = false;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        // Two bytes of any other escape are enough: the four digits of a short one hold no backslash.
        let length = match long_escape(rest) {
            Some((character, length)) => {
                changed = true;
                push(&mut out, character);
                length
            }
            None => {
                out.push_str(&rest[..2]);
                2
            }
        };
        rest = &rest[length..];
    }
    out.push_str(rest);
    let padding = literal.chars().count().saturating_sub(out.chars().count());
    out.extend(std::iter::repeat_n(' ', padding));
    changed.then_some(out)
}

fn push(out: &mut String, character: char) {
    match character {
        '"' | '\\' | '\0'..='\x1f' => out.push_str(&format!("\\u{:04X}", u32::from(character))),
        plain => out.push(plain),
    }
}

/// The character and the length of a surrogate pair or `\u{…}` at the start of the text.
fn long_escape(text: &str) -> Option<(char, usize)> {
    let hex = text.strip_prefix("\\u")?;
    if let Some(digits) = hex.strip_prefix('{') {
        let end = digits.find('}')?;
        return Some((char::from_u32(u32::from_str_radix(&digits[..end], 16).ok()?)?, end + 4));
    }
    let unit = |from: usize| u16::from_str_radix(text.get(from..from + 4)?, 16).ok();
    let (lead, trail) = (
        unit(2)?,
        text.get(6..8)
            .filter(|between| *between == "\\u")
            .and_then(|_| unit(8))?,
    );
    char::decode_utf16([lead, trail])
        .next()?
        .ok()
        .filter(|c| u32::from(*c) > 0xFFFF)
        .map(|c| (c, 12))
}

/// BlockStringValue of the specification.
fn block_value(text: &str) -> String {
    let text = text
        .replace("\\\"\"\"", "\"\"\"")
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let indent_of = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let is_blank = |line: &&str| indent_of(line) == line.len();
    let lines: Vec<_> = text.split('\n').collect();
    let indent = lines
        .iter()
        .skip(1)
        .filter(|line| !is_blank(line))
        .map(|line| indent_of(line))
        .min()
        .unwrap_or(0);
    let rest = lines.iter().skip(1).map(|line| line.get(indent..).unwrap_or(""));
    let lines: Vec<_> = lines.iter().take(1).copied().chain(rest).collect();
    let first = lines.iter().position(|line| !is_blank(line)).unwrap_or(lines.len());
    let last = lines
        .iter()
        .rposition(|line| !is_blank(line))
        .map_or(first, |last| last + 1);
    lines[first..last].join("\n")
}

/// The value as an ordinary literal, followed by the line ends of the old literal, and the width of its last line.
fn quoted(value: &str, literal: &str) -> String {
    let mut out = String::from('"');
    value.chars().for_each(|character| push(&mut out, character));
    out.push('"');
    let shape = blank(literal);
    if let Some(first) = shape.find(['\n', '\r']) {
        out.push_str(&shape[first..]);
    }
    out
}
