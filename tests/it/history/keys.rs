//! The keys that the history is kept under, one after the other.

use chrono::DateTime;
use serde_json::json;

use super::{
    begun::{LATE, change, forge, named, now, store, verify, with},
    trevor, upsert,
    verified::run,
};

on_both! {
    async fn keys_can_be_changed_and_the_weaker_one_never_comes_back(server) {
        let key = upsert(server, json!({ "client": trevor() })).await;
        let (first, second) = (with(server, "the first key", &[]), with(server, "the second key", &["the first key"]));
        first.begin_history(now()).await.expect("it goes on");
        change(&first, &key, "1").await;
        second.begin_history(now()).await.expect("it goes on");
        change(&second, &key, "2").await;
        assert_eq!(verify(&second).await, (3 + 6, 1 + 2, vec![]));
        let unknown = "made with a key that isn't known: see audit.previous_keys";
        assert_eq!(verify(&first).await.2, [
            format!("{key} 3: {unknown}"), format!("~definitions 3: {unknown}"), format!("~users 3: {unknown}")]);
        change(&server.clientele, &key, "3").await;
        assert_eq!(verify(&second).await.2, [format!("{key} 4: made with an earlier key after a later one was in use")]);
    }

    async fn an_earlier_key_never_comes_back_either(server) {
        let (first, second) = (with(server, "the first key", &[]), with(server, "the second key", &["the first key"]));
        let third = with(server, "the third key", &["the second key", "the first key"]);
        first.begin_history(now()).await.expect("it goes on");
        let key = store(&first, &named(), now()).await;
        for (clientele, notes) in [(&second, "2"), (&third, "3")] {
            clientele.begin_history(now()).await.expect("it goes on");
            change(clientele, &key, notes).await;
        }
        assert_eq!(verify(&third).await.2, [""; 0]);
        let of_two = with(server, "the third key", &["the first key", "the second key"]);
        let earlier = "made with an earlier key after a later one was in use";
        let found = verify(&of_two).await.2;
        assert!(found.contains(&format!("{key} 2: {earlier}")), "in the wrong order: {found:?}");
        change(&first, &key, "4").await;
        change(&second, &key, "5").await;
        assert_eq!(verify(&third).await.2, [format!("{key} 4: {earlier}"), format!("{key} 5: {earlier}")]);
    }

    async fn who_has_an_earlier_key_can_make_no_more_chains_with_it(server) {
        let (first, second) = (with(server, "the first key", &[]), with(server, "the second key", &["the first key"]));
        first.begin_history(now()).await.expect("it goes on");
        let earlier = store(&first, &named(), now()).await;
        second.begin_history(now()).await.expect("it goes on");
        change(&second, &earlier, "1").await;
        let later = store(&second, &named(), now()).await;
        assert_eq!(verify(&second).await.2, [""; 0]);
        // Another one in its place: by its number whatever time it has, and by its time if that is told.
        run(server, &format!("DELETE FROM audit_record WHERE chain = '{later}'; DELETE FROM client WHERE encoded_key = '{later}'")).await;
        store(&first, &named(), DateTime::from_timestamp(1_000_000_000, 0).expect("a time")).await;
        let too_many = "~definitions: 2 clients with records by an earlier key, of 1 that may be";
        assert_eq!(verify(&second).await.2, [too_many]);
        let forged = store(&first, &named(), now()).await;
        let too_many = "~definitions: 3 clients with records by an earlier key, of 1 that may be";
        assert_eq!(verify(&second).await.2, [format!("{forged}: {LATE}"), too_many.to_owned()]);
    }

    async fn shared_chains_are_not_put_back_under_an_earlier_key(server) {
        let (first, second) = (with(server, "the first key", &[]), with(server, "the second key", &["the first key"]));
        first.begin_history(now()).await.expect("it goes on");
        run(server, "CREATE TABLE kept AS SELECT * FROM audit_chain").await;
        second.begin_history(now()).await.expect("it goes on");
        assert_eq!(verify(&second).await, (6, 2, vec![]));
        run(server, "DELETE FROM audit_record WHERE position = 3; DELETE FROM audit_chain; INSERT INTO audit_chain SELECT * FROM kept").await;
        let nothing = "no record under audit.key: made anew under an earlier key, or no server has started with audit.key yet";
        assert_eq!(verify(&second).await.2, [format!("~definitions: {nothing}"), format!("~users: {nothing}")]);
    }

    async fn a_key_that_was_forgotten_is_not_taken_on_trust(server) {
        let (first, second) = (with(server, "the first key", &[]), with(server, "the second key", &[]));
        first.begin_history(now()).await.expect("it goes on");
        second.begin_history(now()).await.expect("the server starts");
        assert_eq!(verify(&first).await, (4, 2, vec![]), "nothing was signed");
        with(server, "the second key", &["the first key"]).begin_history(now()).await.expect("it goes on");
        assert_eq!(verify(&with(server, "the second key", &["the first key"])).await, (6, 2, vec![]));
    }

    async fn under_the_databases_key_a_client_can_be_begun_by_nobody(server) {
        let configured = with(server, "the first key", &[]);
        configured.begin_history(now()).await.expect("it goes on");
        // The server's own next change doesn't make it better.
        let forged = forge(server, DateTime::from_timestamp(1_000_000_000, 0).expect("a time")).await;
        change(&configured, &forged, "1").await;
        assert_eq!(verify(&configured).await.2, [format!("{forged}: {LATE}")]);
    }
}
