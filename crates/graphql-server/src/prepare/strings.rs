//! Rewrites string literals for async-graphql's parser, which panics at surrogate pairs, doesn't know `\u{…}`, and
//! keeps the backslash of `\"""`. The text after a rewritten literal keeps its line and column.

/// White space with the same line ends and width.
pub(super) fn blank(text: &str) -> String {
    text.chars()
        .map(|c| if matches!(c, '\n' | '\r') { c } else { ' ' })
        .collect()
}

/// A literal with the same meaning that the parser reads correctly; None if it needs no change.
pub(super) fn plain(literal: &str) -> Option<String> {
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
    let unindented = |(index, line): (usize, &&'_ str)| {
        if index == 0 {
            line.to_string()
        } else {
            line.get(indent..).unwrap_or("").to_string()
        }
    };
    let lines: Vec<_> = lines.iter().enumerate().map(unindented).collect();
    let first = lines
        .iter()
        .position(|line| !is_blank(&line.as_str()))
        .unwrap_or(lines.len());
    let last = lines
        .iter()
        .rposition(|line| !is_blank(&line.as_str()))
        .map_or(first, |last| last + 1);
    lines[first..last].join("\n")
}

/// The value as an ordinary literal, followed by what the old literal had of line ends, and the width of its last line.
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
