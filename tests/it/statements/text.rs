//! Formats statements: a clause that doesn't fit in a line is broken, clause by clause and level by level.

const WIDTH: usize = 110;
const INDENT: &str = "  ";
/// The words that begin a clause, the longest first.
const CLAUSES: [&str; 25] = [
    "ON CONFLICT",
    "UNION ALL",
    "LEFT JOIN",
    "GROUP BY",
    "ORDER BY",
    "FOR NO KEY UPDATE",
    "FOR KEY SHARE",
    "FOR UPDATE",
    "INSERT INTO",
    "DELETE FROM",
    "RETURNING",
    "SELECT",
    "UPDATE",
    "VALUES",
    "FROM",
    "JOIN",
    "WHERE",
    "UNION",
    "HAVING",
    "LIMIT",
    "WITH",
    "SET",
    "WHEN",
    "ELSE",
    "AND",
];

/// The statement on lines of at most [`WIDTH`] characters, unless one name or value is longer.
pub fn formatted(sql: &str) -> String {
    let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines = Vec::new();
    write(&sql, 0, &mut lines);
    lines.join("\n")
}

fn write(sql: &str, level: usize, lines: &mut Vec<String>) {
    let indent = INDENT.repeat(level);
    if indent.len() + sql.len() <= WIDTH {
        lines.push(indent + sql);
        return;
    }
    let clauses = split(sql, |rest| CLAUSES.iter().any(|clause| starts(rest, clause)));
    if let [_, _, ..] = clauses[..] {
        for clause in clauses {
            write(clause.trim(), level, lines);
        }
        return;
    }
    // One clause: its items follow each other on a line as far as they fit.
    let items = split(sql, |rest| rest.starts_with(", "));
    let mut line = indent.clone();
    for (at, item) in items.iter().enumerate() {
        let item = item.trim_start_matches(", ");
        let item = if at + 1 < items.len() {
            format!("{item},")
        } else {
            item.to_owned()
        };
        let is_first = line.trim().is_empty();
        let gap = if is_first { "" } else { " " };
        if line.len() + gap.len() + item.len() <= WIDTH {
            line += &format!("{gap}{item}");
            continue;
        }
        if !is_first {
            lines.push(std::mem::replace(&mut line, format!("{indent}{INDENT}")));
        }
        if line.len() + item.len() <= WIDTH {
            line += &item;
            continue;
        }
        // Text in parentheses is indented by one more level.
        match group(&item) {
            Some((before, inner, after)) => {
                let level = if is_first { level } else { level + 1 };
                lines.push(format!("{line}{before}("));
                write(inner, level + 1, lines);
                line = format!("{}){after}", INDENT.repeat(level));
            }
            None => line += &item,
        }
    }
    if !line.trim().is_empty() {
        lines.push(line);
    }
}

/// The parts of `sql` that begin where `begins` is true, outside parentheses and literals.
fn split(sql: &str, begins: impl Fn(&str) -> bool) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut is_literal) = (Vec::new(), 0, 0, false);
    for (at, letter) in sql.char_indices() {
        match letter {
            '\'' => is_literal = !is_literal,
            _ if is_literal => {}
            '(' => depth += 1,
            ')' => depth -= 1,
            ' ' | ',' if depth == 0 && at > start && begins(&sql[at..]) && !is_within_clause(sql, start, at) => {
                parts.push(&sql[start..at]);
                start = at;
            }
            _ => {}
        }
    }
    parts.push(&sql[start..]);
    parts
}

/// True if `at` is between two words of the clause that begins at `start`.
fn is_within_clause(sql: &str, start: usize, at: usize) -> bool {
    let is_before_end = |clause: &&&str| at <= start + clause.len();
    CLAUSES
        .iter()
        .filter(is_before_end)
        .any(|clause| starts(&sql[start..], clause))
}

/// True if the text after a blank is this clause.
fn starts(rest: &str, clause: &str) -> bool {
    let after = rest.strip_prefix(' ').and_then(|rest| rest.strip_prefix(clause));
    after.is_some_and(|after| after.starts_with([' ', '(']))
}

/// The text before the longest group in parentheses, the text in it, and the text after it.
fn group(sql: &str) -> Option<(&str, &str, &str)> {
    let (mut open, mut depth, mut is_literal, mut longest) = (0, 0, false, None::<(usize, usize)>);
    for (at, letter) in sql.char_indices() {
        match letter {
            '\'' => is_literal = !is_literal,
            _ if is_literal => {}
            '(' => {
                if depth == 0 {
                    open = at;
                }
                depth += 1;
            }
            ')' => {
                depth -= 1;
                if depth == 0 && longest.is_none_or(|(from, to)| at - open > to - from) {
                    longest = Some((open, at));
                }
            }
            _ => {}
        }
    }
    let (open, close) = longest?;
    Some((&sql[..open], &sql[open + 1..close], &sql[close + 1..]))
}

#[test]
fn long_clauses_are_broken_level_by_level() {
    assert_eq!(formatted("SELECT 1 \n FROM client"), "SELECT 1 FROM client");
    let columns: Vec<String> = (0..30).map(|number| format!("column_{number}")).collect();
    let columns = columns.join(", ");
    let sql = format!("SELECT (SELECT {columns} FROM a WHERE x = 'it, (is') FROM client WHERE a = $1 AND b = $2");
    let lines = "SELECT (
  SELECT column_0, column_1, column_2, column_3, column_4, column_5, column_6, column_7, column_8, column_9,
    column_10, column_11, column_12, column_13, column_14, column_15, column_16, column_17, column_18,
    column_19, column_20, column_21, column_22, column_23, column_24, column_25, column_26, column_27,
    column_28, column_29
  FROM a
  WHERE x = 'it, (is'
)
FROM client
WHERE a = $1
AND b = $2";
    assert_eq!(formatted(&sql), lines);
}
