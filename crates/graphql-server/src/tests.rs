//! A small schema to test the server with, and functions that send it requests.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::{
    Context, ContextSelectionSet, Data, EmptySubscription, Enum, ID, InputObject, Interface, MaybeUndefined, Object,
    ObjectType, OneofObject, OutputType, Positioned, Schema, ServerResult, SimpleObject, Value, Variables,
    parser::types::Field, registry::Registry,
};
use axum::http::Uri;
use serde_json::json;

use crate::{
    answer::{Answer, raw},
    context::RequestContext,
    cost::Prices,
    error::{Code, GraphqlError},
    persisted::Persisted,
    prepare::collect,
    server::GraphqlServer,
    settings::GraphqlSettings,
};
use clientele_core::error::{Cause, Error};

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum Gender {
    Female,
    Male,
}

#[derive(InputObject)]
struct Input {
    email: MaybeUndefined<String>,
    gender: MaybeUndefined<Gender>,
    age: MaybeUndefined<i32>,
    tags: MaybeUndefined<Vec<String>>,
    #[graphql(default = 7)]
    rank: i32,
    inner: MaybeUndefined<Box<Input>>,
}

impl Input {
    /// The input as text that distinguishes absent from null.
    fn seen(&self) -> String {
        fn of<T>(value: &MaybeUndefined<T>, show: impl Fn(&T) -> String) -> String {
            match value {
                MaybeUndefined::Undefined => "absent".into(),
                MaybeUndefined::Null => "null".into(),
                MaybeUndefined::Value(value) => show(value),
            }
        }
        let gender = |gender: &Gender| if *gender == Gender::Female { "FEMALE" } else { "MALE" }.to_string();
        [
            of(&self.email, String::clone),
            of(&self.gender, gender),
            of(&self.age, i32::to_string),
            of(&self.tags, |tags| tags.join("+")),
            self.rank.to_string(),
            of(&self.inner, |inner| inner.seen()),
        ]
        .join(",")
    }
}

#[derive(OneofObject)]
enum By {
    Id(ID),
    Name(String),
}

#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID"), field(name = "name", ty = "String"))]
enum Node {
    Person(Person),
    Place(Place),
}

struct Person;

#[Object]
impl Person {
    async fn id(&self) -> ID {
        // Completes after its siblings, so that async-graphql puts it last.
        tokio::task::yield_now().await;
        "p1".into()
    }
    async fn name(&self) -> String {
        "Ada".into()
    }
    async fn broken(&self) -> Result<String, Error> {
        Err(Error::Unavailable(Cause::Lost))
    }
    async fn may_break(&self) -> Result<Option<String>, Error> {
        Err(Error::Conflict)
    }
    async fn hidden(&self) -> async_graphql::Result<Option<String>> {
        Err("relation \"client\" does not exist")?
    }
    async fn best(&self) -> Person {
        Person
    }
    async fn friends(&self, first: Option<i32>) -> Vec<Person> {
        (0..first.unwrap_or(1)).map(|_| Person).collect()
    }
}

struct Place(ID);

#[Object]
impl Place {
    async fn id(&self) -> ID {
        self.0.clone()
    }
    async fn name(&self) -> String {
        "Delft".into()
    }
    async fn city(&self) -> String {
        "Delft".into()
    }
    async fn near(&self) -> Place {
        Place("y".into())
    }
}

/// An object that writes itself, in the order of `collect`.
struct Written;

impl OutputType for Written {
    fn type_name() -> std::borrow::Cow<'static, str> {
        Person::type_name()
    }
    fn create_type_info(registry: &mut Registry) -> String {
        Person::create_type_info(registry)
    }
    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        let fields = collect(&ctx.item.node, "Person").map(|field| format!("\"{}\":1", field.node.response_key().node));
        Ok(raw(format!("{{{}}}", fields.collect::<Vec<_>>().join(","))))
    }
}

pub struct Query;

#[Object]
impl Query {
    async fn person(&self) -> Option<Person> {
        Some(Person)
    }
    async fn nobody(&self) -> Option<Person> {
        None
    }
    async fn node(&self, id: ID) -> Option<Node> {
        Some(match id.as_str() {
            "p" => Node::Person(Person),
            _ => Node::Place(Place(id)),
        })
    }
    async fn nodes(&self) -> Vec<Node> {
        vec![Node::Place(Place("x".into())), Node::Person(Person)]
    }
    /// Never answers.
    async fn stuck(&self) -> bool {
        std::future::pending().await
    }
    async fn many(&self, ids: Vec<i32>) -> Vec<Person> {
        ids.iter().map(|_| Person).collect()
    }
    async fn written(&self) -> Written {
        Written
    }
    async fn writtens(&self) -> Vec<Written> {
        vec![Written, Written]
    }
    async fn find(&self, by: By) -> String {
        match by {
            By::Id(id) => id.0,
            By::Name(name) => name,
        }
    }
    async fn seen(&self, input: Option<Input>) -> String {
        input.map_or("none".into(), |input| input.seen())
    }
    async fn argument(&self, text: MaybeUndefined<String>) -> String {
        format!("{text:?}")
    }
    async fn required(&self, #[graphql(default = 5)] number: i32) -> i32 {
        number
    }
    async fn numbers(&self, list: Option<Vec<Option<i32>>>) -> String {
        format!("{list:?}")
    }
    async fn ids(&self, list: Vec<ID>) -> Vec<ID> {
        list
    }
    async fn float(&self, value: f64) -> f64 {
        value
    }
    async fn must(&self) -> Result<String, Error> {
        Err(Error::Unavailable(Cause::Lost))
    }
    async fn secret(&self) -> async_graphql::Result<Option<String>> {
        Err("duplicate key value violates unique constraint \"client_pkey\"")?
    }
    async fn forbidden(&self) -> async_graphql::Result<Option<String>> {
        Err(GraphqlError::new(Code::Forbidden, "Not yours."))?
    }
    /// The URI that the context of the request provides.
    async fn uri(&self, context: &Context<'_>) -> async_graphql::Result<String> {
        Ok(context.data::<Uri>()?.to_string())
    }
    async fn panics(&self) -> bool {
        assert!(std::env::args().count() == usize::MAX, "a defect");
        true
    }
}

#[derive(Default)]
pub struct Mutation {
    runs: AtomicUsize,
}

#[derive(SimpleObject)]
struct Up {
    a: usize,
    b: usize,
}

#[Object]
impl Mutation {
    async fn up(&self) -> Up {
        let runs = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        Up { a: runs, b: runs }
    }
    async fn late_up(&self) -> Up {
        tokio::task::yield_now().await;
        let runs = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        Up { a: runs, b: runs }
    }
    async fn conflict(&self) -> Result<bool, Error> {
        Err(Error::Conflict)
    }
}

/// A request without an application around it.
#[derive(Clone, Copy)]
pub struct TestContext {
    pub role: Option<&'static str>,
    pub is_authenticated: bool,
}

impl RequestContext for TestContext {
    fn request_id(&self) -> &str {
        "r1"
    }

    fn role(&self) -> Option<&str> {
        self.role
    }

    fn is_authenticated(&self) -> bool {
        self.is_authenticated
    }
}

/// An authenticated caller without a role.
pub const AUTHENTICATED: TestContext = TestContext {
    role: None,
    is_authenticated: true,
};

pub fn server(settings: GraphqlSettings) -> GraphqlServer<Query, Mutation> {
    let persisted = Persisted::automatic(settings.persisted_query_bytes);
    let build = || Schema::build(Query, Mutation::default(), EmptySubscription).register_output_type::<Node>();
    GraphqlServer::new(build, settings, Prices::default(), persisted)
}

impl<Q: ObjectType + 'static, M: ObjectType + 'static> GraphqlServer<Q, M> {
    /// Answers one request, with its errors in the answer.
    pub async fn execute(
        &self,
        query: &str,
        operation_name: Option<&str>,
        variables: Variables,
        data: Data,
        context: &impl RequestContext,
    ) -> Answer {
        match self.prepare(query, operation_name, variables, context).await {
            Ok(prepared) => self.run(prepared, data, context.request_id()).await,
            Err(error) => Answer::refused(&error, context.request_id()),
        }
    }
}

pub async fn ask_with(settings: GraphqlSettings, query: &str, variables: serde_json::Value) -> Answer {
    server(settings)
        .execute(
            query,
            None,
            Variables::from_json(variables),
            Data::default(),
            &AUTHENTICATED,
        )
        .await
}

/// The body of the answer, as text.
pub async fn ask(query: &str, variables: serde_json::Value) -> String {
    String::from_utf8(
        ask_with(GraphqlSettings::default(), query, variables)
            .await
            .body
            .to_vec(),
    )
    .unwrap()
}

/// The body of a query without variables.
pub async fn data(query: &str) -> String {
    ask(query, json!({})).await
}

/// Code and sentence of the only error.
pub async fn error(query: &str, variables: serde_json::Value) -> (String, String) {
    let body = ask(query, variables).await;
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    let [error] = answer["errors"]
        .as_array()
        .unwrap_or_else(|| panic!("no errors in {body}"))
        .as_slice()
    else {
        panic!("not one error: {body}")
    };
    assert_eq!(error["extensions"]["requestId"], "r1");
    (
        error["extensions"]["code"].as_str().unwrap().into(),
        error["message"].as_str().unwrap().into(),
    )
}
