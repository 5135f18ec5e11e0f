//! The page: the same contents as the document, as HTML without scripts.

use base64::{Engine, prelude::BASE64_STANDARD};
use ring::digest;

use super::{
    Described,
    document::{ABOUT, objects},
    json::Json,
    meanings::{MEANINGS, Meaning},
    operation::{Answer, Operation, Parameter},
    schema::{Kind, Member, Object},
};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem 1rem 4rem;\
    color:#1b1b1f;background:#fff}code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f4f4f6;padding:.75rem;\
    overflow:auto}table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}th,td{border:1px solid #d0d0d7;\
    padding:.25rem .5rem;text-align:left;vertical-align:top;\
    overflow-wrap:anywhere}h2{margin-top:2.5rem;border-bottom:1px solid #d0d0d7}\
    a{color:#0b57d0}@media(prefers-color-scheme:dark){body{color:#e4e4e9;background:#1b1b1f}pre{background:#2a2a30}\
    th,td,h2{border-color:#4a4a52}a{color:#8ab4f8}}";

/// The hash of the style sheet, as a content security policy names it.
pub fn style_hash() -> String {
    let hash = digest::digest(&digest::SHA256, STYLE.as_bytes());
    format!("sha256-{}", BASE64_STANDARD.encode(hash))
}

pub fn page(routes: &[Described]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>clientele: legacy REST API</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>clientele {}: legacy REST API</h1>\n<p>{}</p>\n\
         <p>The same as <a href=\"openapi.json\">openapi.json</a>, an OpenAPI 3.1 document. \
         <a href=\"#objects\">Objects</a>, <a href=\"#codes\">return codes</a>.</p>\n",
        env!("CARGO_PKG_VERSION"),
        sentence(ABOUT),
    );
    let lines = routes.iter().map(|route| {
        let Described {
            method,
            path,
            operation,
        } = route;
        let link = format!("<a href=\"#{}\"><code>{method} {}</code></a>", operation.id, text(path));
        vec![link, text(operation.summary), code(operation.graphql)]
    });
    page += &table(["route", "purpose", "GraphQL"], lines);
    for route in routes {
        page += &section(route);
    }
    page += "<h2 id=\"objects\">Objects</h2>\n";
    for object in objects(routes) {
        page += &members(object);
    }
    page += "<h2 id=\"codes\">Return codes</h2>\n";
    let lines = MEANINGS.iter().map(|meaning| {
        let Meaning(code, means, _) = meaning;
        vec![
            code.status.as_u16().to_string(),
            format!(
                "<span id=\"code-{}\">{}</span> {}",
                Meaning::name(*code),
                code.number,
                code.name
            ),
            text(means),
            format!("<code>{}</code>", text(&compact(&meaning.body()))),
        ]
    });
    page += &table(["status", "code", "meaning", "answer"], lines);
    page += "</body>\n</html>\n";
    page
}

fn section(
    Described {
        method,
        path,
        operation,
    }: &Described,
) -> String {
    let Operation {
        id,
        summary,
        description,
        graphql,
        body,
        answers,
        ..
    } = operation;
    let counterpart = match *graphql {
        "" => String::new(),
        graphql => format!(" In GraphQL: {}.", code(graphql)),
    };
    let mut html = format!(
        "<h2 id=\"{id}\">{}</h2>\n<p><code>{method} {}</code></p>\n<p>{} {}{counterpart}</p>\n",
        text(summary),
        text(path),
        sentence(description),
        text(&operation.permission_sentence()),
    );
    let parameters = (operation.parameters)();
    if !parameters.is_empty() {
        let lines = parameters.iter().map(
            |Parameter {
                 place,
                 member,
                 is_deprecated,
             }| {
                let old = if *is_deprecated { " Deprecated." } else { "" };
                vec![
                    code(member.name),
                    place.as_str().to_owned(),
                    format!("{}{old}", sentence(member.description)),
                    code(member.graphql),
                ]
            },
        );
        html += &table(["parameter", "in", "meaning", "GraphQL"], lines);
    }
    if let Some(body) = body {
        let example = text(&pretty(&body.example()));
        html += &format!("<p>Body: {}, such as</p>\n<pre>{example}</pre>\n", kind(body.kind));
        for (media_type, other) in body.others {
            html += &format!("<p>Or as {}: {}.</p>\n", code(media_type), kind(*other));
        }
    }
    for Answer {
        summary,
        kind: answered,
        ..
    } in *answers
    {
        let example = text(&pretty(&answered.example()));
        let answered = kind(*answered);
        html += &format!("<p>200, {answered}: {}</p>\n<pre>{example}</pre>\n", text(summary));
    }
    let refusals = operation.codes().into_iter().map(|code| {
        let name = Meaning::name(code);
        let link = format!("<a href=\"#code-{name}\">{} {}</a>", code.number, code.name);
        let means = Meaning::of(code).map_or("", |meaning| meaning.1);
        vec![code.status.as_u16().to_string(), link, text(means)]
    });
    html + &table(["status", "code", "meaning"], refusals)
}

fn members(object: &Object) -> String {
    let lines = (object.members)().into_iter().map(|member| {
        let Member {
            name,
            description,
            graphql,
            is_required,
            most,
            ..
        } = member;
        let limit = match (member.kind, most) {
            (_, 0) => String::new(),
            (Kind::List(_) | Kind::Customs, most) => format!(", at most {most}"),
            (_, most) => format!(", at most {most} characters"),
        };
        let required = if is_required { ", always" } else { "" };
        vec![
            code(name),
            format!("{}{limit}{required}", kind(member.kind)),
            sentence(description),
            code(graphql),
        ]
    });
    format!(
        "<h3 id=\"object-{name}\">{name}</h3>\n<p>{}</p>\n{}",
        sentence(object.description),
        table(["member", "kind", "meaning", "GraphQL"], lines),
        name = object.name,
    )
}

fn kind(kind: Kind) -> String {
    let link = |of: &Object| format!("<a href=\"#object-{name}\">{name}</a>", name = of.name);
    let choice = |names: Vec<&str>| names.into_iter().map(code).collect::<Vec<_>>().join(" ");
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Key => "key".to_owned(),
        Kind::Timestamp => "time".to_owned(),
        Kind::Date => "date".to_owned(),
        Kind::Integer => "integer".to_owned(),
        Kind::Number => "number".to_owned(),
        Kind::Boolean => "boolean".to_owned(),
        Kind::Choice(names) | Kind::ChoiceOr(names, _) => choice(names()),
        Kind::Custom => "text, number or boolean".to_owned(),
        Kind::Selection => choice(super::schema::names::<clientele_domain::client::constraint::Selection>()),
        Kind::Customs => "list of texts, numbers or booleans".to_owned(),
        Kind::Texts => "list of texts".to_owned(),
        Kind::Object(of) => link(of),
        Kind::List(of) => format!("list of {}", link(of)),
        Kind::OneOrList(of, most) => format!("{}, or a list of at most {most}", link(of)),
        Kind::NoList => "empty list".to_owned(),
    }
}

fn table<const N: usize>(heads: [&str; N], lines: impl Iterator<Item = Vec<String>>) -> String {
    let row = |cell: &str, cells: &[String]| {
        let cells: String = cells
            .iter()
            .map(|content| format!("<{cell}>{content}</{cell}>"))
            .collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = lines.map(|cells| row("td", &cells)).collect();
    format!("<table>\n{}{rows}</table>\n", row("th", &heads.map(str::to_owned)))
}

/// The code in a cell, or an empty cell.
fn code(name: &str) -> String {
    match name {
        "" => String::new(),
        name => format!("<code>{}</code>", text(name)),
    }
}

/// A text in which backquotes mark code.
fn sentence(sentence: &str) -> String {
    let parts = text(sentence);
    let parts = parts.split('`').enumerate();
    parts
        .map(|(at, part)| match at % 2 {
            0 => part.to_owned(),
            _ => format!("<code>{part}</code>"),
        })
        .collect()
}

fn text(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn pretty(json: &Json) -> String {
    serde_json::to_string_pretty(json).unwrap_or_default()
}

fn compact(json: &Json) -> String {
    serde_json::to_string(json).unwrap_or_default()
}
