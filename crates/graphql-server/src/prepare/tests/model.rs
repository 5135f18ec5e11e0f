//! Random selections, answered by the server and by a model that follows the words of the specification: collect the
//! fields of an object, group them by response key, and only then look below.

use async_graphql::parser::{
    parse_query,
    types::{DocumentOperations, ExecutableDocument, Field, Selection, SelectionSet},
};
use proptest::prelude::*;
use serde_json::json;

use crate::tests::ask;

/// A condition: which of two variables, and whether it skips or includes.
fn condition() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(String::new()),
        1 => ("(skip|include)", 0..2).prop_map(|(directive, n)| format!(" @{directive}(if: $v{n})")),
    ]
}

/// A field, perhaps under another name; a name stands for the same field wherever it is used.
fn field(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    (prop::sample::select(names), prop::option::of(0..2), condition()).prop_map(
        |(name, alias, condition)| match alias {
            Some(n) => format!("{name}{n}: {name}{condition}"),
            None => format!("{name}{condition}"),
        },
    )
}

fn leaf(ty: &str) -> BoxedStrategy<String> {
    match ty {
        "Query" => field(&["__typename"]).boxed(),
        "Place" => field(&["__typename", "id", "name", "city"]).boxed(),
        _ => field(&["__typename", "id", "name"]).boxed(),
    }
}

/// A selection set, without its braces.
fn selections(ty: &'static str, depth: u32) -> BoxedStrategy<String> {
    let item = if depth == 0 {
        leaf(ty)
    } else {
        let fragments: &[&str] = match ty {
            "Query" => &["Query"],
            "Person" => &["Person", "Node"],
            "Place" => &["Place", "Node"],
            _ => &["Person", "Place", "Node"],
        };
        let inline = prop::sample::select(fragments)
            .prop_flat_map(move |on| (Just(on), condition(), selections(on, depth - 1)))
            .prop_map(|(on, condition, below)| format!("... on {on}{condition} {{ {below} }}"));
        let spread =
            (prop::sample::select(fragments), condition()).prop_map(|(on, condition)| format!("...F{on}{condition}"));
        let objects: &[(&str, &str)] = match ty {
            "Query" => &[("person", "Person"), ("nodes", "Node")],
            "Person" => &[("friends", "Person")],
            _ => &[],
        };
        let mut items = vec![(2, leaf(ty)), (2, inline.boxed()), (1, spread.boxed())];
        for (name, below) in objects.iter().copied() {
            let object = (condition(), prop::option::of(0..2), selections(below, depth - 1));
            let object = object.prop_map(move |(condition, alias, below)| {
                let alias = alias.map_or(String::new(), |n| format!("{name}{n}: "));
                format!("{alias}{name}{condition} {{ {below} }}")
            });
            items.push((2, object.boxed()));
        }
        prop::strategy::Union::new_weighted(items).boxed()
    };
    prop::collection::vec(item, 1..4)
        .prop_map(|items| items.join(" "))
        .boxed()
}

/// A document with the fragments and variables that its operation uses, and no others.
fn document() -> impl Strategy<Value = String> {
    let bodies = ["Query", "Person", "Place", "Node"].map(|ty| selections(ty, 0).prop_map(move |body| (ty, body)));
    (selections("Query", 4), bodies).prop_map(|(body, fragments)| {
        let mut text = format!("{{ {body} }}");
        for (ty, body) in fragments {
            if text.contains(&format!("...F{ty}")) {
                text += &format!(" fragment F{ty} on {ty} {{ {body} }}");
            }
        }
        let used: Vec<_> = (0..2)
            .filter(|n| text.contains(&format!("$v{n}")))
            .map(|n| format!("$v{n}: Boolean!"))
            .collect();
        if used.is_empty() {
            text
        } else {
            format!("query({}) {text}", used.join(", "))
        }
    })
}

struct Model<'a> {
    document: &'a ExecutableDocument,
    variables: [bool; 2],
}

impl<'a> Model<'a> {
    fn object(&self, ty: &str, sets: &[&'a SelectionSet]) -> String {
        let mut groups: Vec<(&str, Vec<&Field>)> = Vec::new();
        for set in sets {
            self.collect(ty, set, &mut groups);
        }
        let fields: Vec<_> = groups
            .iter()
            .map(|(key, fields)| format!("\"{key}\":{}", self.value(ty, fields)))
            .collect();
        format!("{{{}}}", fields.join(","))
    }

    fn collect(&self, ty: &str, set: &'a SelectionSet, groups: &mut Vec<(&'a str, Vec<&'a Field>)>) {
        for item in &set.items {
            let asked = item.node.directives().iter().all(|directive| {
                let name = directive.node.get_argument("if").unwrap().node.to_string();
                (directive.node.name.node == "include") == self.variables[usize::from(name == "$v1")]
            });
            let (on, below) = match &item.node {
                _ if !asked => continue,
                Selection::Field(field) => {
                    let key = field.node.response_key().node.as_str();
                    match groups.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, fields)) => fields.push(&field.node),
                        None => groups.push((key, vec![&field.node])),
                    }
                    continue;
                }
                Selection::InlineFragment(part) => {
                    (part.node.type_condition.as_ref().unwrap(), &part.node.selection_set)
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = &self.document.fragments[&spread.node.fragment_name.node].node;
                    (&fragment.type_condition, &fragment.selection_set)
                }
            };
            let on = on.node.on.node.as_str();
            if on == ty || on == "Node" && ty != "Query" {
                self.collect(ty, &below.node, groups);
            }
        }
    }

    fn value(&self, ty: &str, fields: &[&'a Field]) -> String {
        let below: Vec<_> = fields.iter().map(|field| &field.selection_set.node).collect();
        match (fields[0].name.node.as_str(), ty) {
            ("__typename", _) => format!("\"{ty}\""),
            ("id", "Person") => "\"p1\"".into(),
            ("id", _) => "\"x\"".into(),
            ("name", "Person") => "\"Ada\"".into(),
            ("name" | "city", _) => "\"Delft\"".into(),
            ("person", _) => self.object("Person", &below),
            ("friends", _) => format!("[{}]", self.object("Person", &below)),
            _ => format!("[{},{}]", self.object("Place", &below), self.object("Person", &below)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_those_of_the_specification(query in document(), variables in any::<[bool; 2]>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let given = json!({"v0": variables[0], "v1": variables[1]});
        let answer = runtime.block_on(ask(&query, given));
        let document = parse_query(&query).unwrap();
        let DocumentOperations::Single(operation) = &document.operations else { unreachable!() };
        let model = Model { document: &document, variables };
        let expected = model.object("Query", &[&operation.node.selection_set.node]);
        prop_assert_eq!(answer, format!("{{\"data\":{expected}}}"), "{}", query);
    }
}
