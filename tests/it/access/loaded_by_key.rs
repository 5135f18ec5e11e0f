//! Objects that the domain loads by key are visible only with the permission to view them.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use clientele::{
    audit::RecordKey,
    caller::{Caller, Permission, Restricted, Rights, Unchecked},
    client::ClientParts,
    error::Error,
    notify::{self, MessageKey},
    paging::{Order, Range, Requested, Window},
};
use serde_json::{Value, json};

use crate::harness::{
    TestServer,
    graphql::{define_template, store},
};

fn caller(permissions: impl IntoIterator<Item = Permission>) -> Caller {
    Caller {
        rights: Arc::new(Rights::of(permissions)),
        ..Caller::operator()
    }
}

/// Asserts that only callers with this permission find the object.
fn is_for<K: Eq + Hash, T: Restricted>(found: &HashMap<K, Unchecked<T>>, permission: Permission) {
    let Some(unread) = found.values().next().filter(|_| found.len() == 1) else {
        panic!("{} things were found for {permission:?}", found.len())
    };
    let others = Permission::ALL.into_iter().filter(|other| *other != permission);
    let refused = unread.authorize(&caller(others)).err();
    assert!(
        matches!(refused, Some(Error::Forbidden(lacking)) if lacking == permission.as_str()),
        "{refused:?}"
    );
    assert!(unread.authorize(&caller([permission])).is_ok(), "{permission:?}");
}

async fn written_to(server: &TestServer) -> Value {
    define_template(
        server,
        json!({ "templateId": "hello", "name": "Hello", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "variants": [{ "language": "ENGLISH", "subject": "S", "text": "T" }] }),
    )
    .await;
    let client =
        json!({ "client": { "firstName": "Amara", "lastName": "Bellweather", "emailAddress": "a@example.test" } });
    store(server, client, "encodedKey messages { nodes { encodedKey } }").await
}

fn window(order: &Order) -> Window {
    let range = Range::First {
        count: 50,
        after: None,
        before: None,
    };
    Window::of(&range, order).expect("a range without cursors")
}

on_both!(loading_by_key_requires_view_permission);

async fn loading_by_key_requires_view_permission(server: &TestServer) {
    let ana = written_to(server).await;
    let text = |place: &str| ana.pointer(place).and_then(Value::as_str).expect("a key").to_owned();
    let (client_key, encoded_key) = (text("/encodedKey"), text("/messages/nodes/0/encodedKey"));
    let services = &server.services;
    let requested = Requested {
        rows: true,
        total: true,
        contents: true,
    };
    let (keys, rights) = ([client_key.clone()], Rights::all());

    let clients = services
        .clients
        .by_key(&rights, &keys, ClientParts::ALL)
        .await
        .expect("read");
    is_for(&clients, Permission::ViewClient);
    let pages = services
        .messages
        .pages_of_clients(&[&client_key], &window(&notify::NEWEST_FIRST), requested)
        .await;
    is_for(&pages.expect("read"), Permission::ViewMessages);
    let message = MessageKey {
        client_key: client_key.clone(),
        encoded_key,
    };
    is_for(
        &services.messages.by_key(&rights, &[message]).await.expect("read"),
        Permission::ViewMessages,
    );
    let pages = services
        .audit
        .pages_of_clients(&[&client_key], &window(&clientele::audit::BY_POSITION), requested)
        .await;
    is_for(&pages.expect("read"), Permission::Audit);
    let record = RecordKey {
        chain: client_key,
        position: 1,
    };
    is_for(
        &services.audit.by_key(&rights, &[record]).await.expect("read"),
        Permission::Audit,
    );
}
