//! Tests of field merging: examples, and random documents checked against the algorithm of the specification.

use std::sync::LazyLock;

use async_graphql::{
    EmptySubscription, Positioned, Schema,
    parser::{
        parse_query,
        types::{ExecutableDocument, Field, Selection, SelectionSet},
    },
    registry::{MetaType, MetaTypeName, Registry},
};
use proptest::prelude::*;
use serde_json::json;

use crate::{
    limits::limits_of,
    prepare::{
        flatten::{root, same},
        merging,
    },
    server::Validator,
    settings::{GraphqlSettings, RoleLimits},
    tests::{Mutation, Query, data, error},
};

#[tokio::test]
async fn same_key_of_different_types_needs_same_shape() {
    for (query, types) in [
        (
            "{ node(id: 1) { ... on Place { x: id } ... on Person { x: name } } }",
            ("ID!", "String!"),
        ),
        (
            "{ node(id: 1) { ... on Place { x: city } ... on Person { x: hidden } } }",
            ("String!", "String"),
        ),
        (
            "{ nodes { ... on Place { x: name } ...F } } fragment F on Person { x: friends { id } }",
            ("String!", "[Person!]!"),
        ),
        (
            "{ nodes { ... on Person { x: friends { y: id } } ... on Place { x: near { y: name } } } }",
            ("[Person!]!", "Place!"),
        ),
        (
            "{ nodes { ... on Person { x: best { y: id } } ... on Place { x: near { y: name } } } }",
            ("ID!", "String!"),
        ),
        (
            "{ nodes { ... on Person { x: best { y: id } } ... on Place { x: near { ... on Node { y: name } } } } }",
            ("ID!", "String!"),
        ),
    ] {
        let key = if query.contains("y:") && types.0 == "ID!" {
            "y"
        } else {
            "x"
        };
        let (one, two) = types;
        let message = format!(
            "\"{key}\" would be of type {one} for some objects and of type {two} for others. Give one of them another \
             alias."
        );
        let expected = ("GRAPHQL_VALIDATION_FAILED".to_owned(), message);
        assert_eq!(error(query, json!({})).await, expected, "{query}");
    }
}

#[tokio::test]
async fn same_key_of_interface_and_object_needs_same_field() {
    let query = "{ nodes { ... on Person { ... on Node { x: name } } ... on Place { x: city } } }";
    let message = "\"x\" is asked for twice, with different fields or arguments. Give one of them another alias.";
    let expected = ("GRAPHQL_VALIDATION_FAILED".to_owned(), message.to_owned());
    assert_eq!(error(query, json!({})).await, expected);
}

#[tokio::test]
async fn different_fields_of_one_shape_merge() {
    for query in [
        "{ nodes { ... on Place { x: city } ... on Person { x: name } } }",
        "{ nodes { ... on Person { x: best { y: name } } ... on Place { x: near { y: city } } } }",
        "{ nodes { ... on Person { x: best { y: friends(first: 1) { id } } } ... on Node { id } } }",
    ] {
        let answer = data(query).await;
        assert!(answer.starts_with(r#"{"data":{"nodes":[{"#), "{query}: {answer}");
    }
}

/// A selection set of fields that often collide, without its braces.
fn selections(ty: &'static str, depth: u32) -> BoxedStrategy<String> {
    let leaves: &[&str] = match ty {
        "Person" => &["id", "name", "hidden", "__typename"],
        "Place" => &["id", "name", "city"],
        "Node" => &["id", "name"],
        _ => &["__typename"],
    };
    let alias = || prop::sample::select(vec!["", "x: ", "y: "]);
    let leaf = (alias(), prop::sample::select(leaves)).prop_map(|(alias, name)| format!("{alias}{name}"));
    let mut items = vec![(3, leaf.boxed())];
    if depth > 0 {
        let objects: &[(&str, &str)] = match ty {
            "Query" => &[("person", "Person"), ("nodes", "Node"), ("nobody", "Person")],
            "Person" => &[
                ("friends", "Person"),
                ("friends(first: 1)", "Person"),
                ("best", "Person"),
            ],
            "Place" => &[("near", "Place")],
            _ => &[],
        };
        for (name, below) in objects.iter().copied() {
            let object = (alias(), selections(below, depth - 1));
            items.push((
                2,
                object
                    .prop_map(move |(alias, below)| format!("{alias}{name} {{ {below} }}"))
                    .boxed(),
            ));
        }
        let types: &[&str] = match ty {
            "Query" => &["Query"],
            "Person" => &["Person", "Node"],
            "Place" => &["Place", "Node"],
            _ => &["Person", "Place", "Node"],
        };
        let fragment = prop::sample::select(types).prop_flat_map(move |on| (Just(on), selections(on, depth - 1)));
        let fragment = fragment.prop_map(|(on, below)| format!("... on {on} {{ {below} }}"));
        items.push((3, fragment.boxed()));
        if ty != "Query" {
            items.push((
                1,
                prop::sample::select(types).prop_map(|on| format!("...F{on}")).boxed(),
            ));
        }
    }
    prop::collection::vec(prop::strategy::Union::new_weighted(items), 1..4)
        .prop_map(|items| items.join(" "))
        .boxed()
}

fn document() -> impl Strategy<Value = String> {
    let bodies = ["Person", "Place", "Node"].map(|ty| selections(ty, 0).prop_map(move |body| (ty, body)));
    (selections("Query", 5), bodies).prop_map(|(body, fragments)| {
        let fragments = fragments.map(|(ty, body)| format!(" fragment F{ty} on {ty} {{ {body} }}"));
        format!("{{ {body} }}{}", fragments.concat())
    })
}

/// The specification's algorithm, pair by pair.
struct Model<'a> {
    document: &'a ExecutableDocument,
    registry: &'a Registry,
}

type Visited<'a> = (&'a MetaType, &'a Positioned<Field>);

impl<'a> Model<'a> {
    fn visit(&self, parent: &'a MetaType, set: &'a SelectionSet, fields: &mut Vec<Visited<'a>>) {
        for item in &set.items {
            let (on, below) = match &item.node {
                Selection::Field(field) => {
                    fields.push((parent, field));
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
            self.visit(&self.registry.types[on.node.on.node.as_str()], &below.node, fields);
        }
    }

    fn ty(&self, (parent, field): Visited<'a>) -> &'a str {
        let name = field.node.name.node.as_str();
        parent.field_by_name(name).map_or("String!", |meta| &meta.ty)
    }

    fn merged(&self, one: Visited<'a>, two: Visited<'a>) -> Vec<Visited<'a>> {
        let mut fields = Vec::new();
        for visited in [one, two] {
            if let Some(ty) = self.registry.concrete_type_by_name(self.ty(visited)) {
                self.visit(ty, &visited.1.node.selection_set.node, &mut fields);
            }
        }
        fields
    }

    fn pairs(&self, fields: &[Visited<'a>], may: impl Fn(Visited<'a>, Visited<'a>) -> bool) -> bool {
        fields.iter().enumerate().all(|(at, one)| {
            let key = |visited: &Visited<'a>| visited.1.node.response_key().node.clone();
            let others = fields[at..].iter().filter(|two| key(one) == key(two));
            others.into_iter().all(|two| may(*one, *two))
        })
    }

    fn can_merge(&self, fields: &[Visited<'a>]) -> bool {
        self.pairs(fields, |one, two| {
            let exclusive = one.0.name() != two.0.name() && !one.0.is_abstract() && !two.0.is_abstract();
            self.same_shape(one, two)
                && (exclusive || same(&one.1.node, &two.1.node) && self.can_merge(&self.merged(one, two)))
        })
    }

    fn same_shape(&self, one: Visited<'a>, two: Visited<'a>) -> bool {
        let (mut a, mut b) = (self.ty(one), self.ty(two));
        loop {
            match (MetaTypeName::create(a), MetaTypeName::create(b)) {
                (MetaTypeName::NonNull(x), MetaTypeName::NonNull(y))
                | (MetaTypeName::List(x), MetaTypeName::List(y)) => {
                    (a, b) = (x, y);
                }
                (MetaTypeName::Named(x), MetaTypeName::Named(y)) => {
                    let leaf = |name| !self.registry.types[name].is_composite();
                    let same = if leaf(x) || leaf(y) { x == y } else { true };
                    return same && self.pairs(&self.merged(one, two), |one, two| self.same_shape(one, two));
                }
                _ => return false,
            }
        }
    }
}

static SCHEMA: LazyLock<Validator<Query, Mutation, EmptySubscription>> =
    LazyLock::new(|| Validator::new(Schema::build(Query, Mutation::default(), EmptySubscription)));

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn documents_are_judged_as_the_specification_says(query in document()) {
        let registry = SCHEMA.registry();
        let document = parse_query(&query).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let limits = limits_of(&GraphqlSettings::default(), &RoleLimits::default());
        let judged = merging::check(operation, &document, registry, &limits).is_ok();
        let model = Model { document: &document, registry };
        let mut fields = Vec::new();
        model.visit(root(operation.node.ty, registry).unwrap(), &operation.node.selection_set.node, &mut fields);
        prop_assert_eq!(judged, model.can_merge(&fields), "{}", query);
    }
}
