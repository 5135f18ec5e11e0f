//! Texts and numbers are read exactly as they were sent, on both databases.

use async_graphql::MaybeUndefined::Value;
use clientele::{
    caller::Caller,
    client::ClientParts,
    client_by::ClientBy,
    problem::ProblemCode,
    upsert::{AddressInput, UpsertClient},
};
use proptest::{
    collection::vec,
    prelude::{Strategy, any},
    strategy::ValueTree,
    test_runner::TestRunner,
};

use super::{TestServer, refused, trevor, upsert};

/// Values of a strategy, the same in every run.
fn samples<S: Strategy>(strategy: S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..count)
        .map(|_| {
            strategy
                .new_tree(&mut runner)
                .expect("the strategy has values")
                .current()
        })
        .collect()
}

/// Stores an address at these degrees. Returns the degrees of the answer and of a later read.
async fn degrees(server: &TestServer, latitude: f64, longitude: f64) -> [(Option<f64>, Option<f64>); 2] {
    let address = AddressInput {
        latitude: Value(latitude),
        longitude: Value(longitude),
        ..AddressInput::default()
    };
    let upserted = upsert(
        server,
        &UpsertClient {
            addresses: Value(vec![address]),
            ..trevor()
        },
    )
    .await;
    let by = ClientBy::EncodedKey(upserted.client.client.encoded_key.clone());
    let read = server
        .services
        .clients
        .get(&Caller::operator(), &by, ClientParts::ALL)
        .await
        .expect("the database answers")
        .expect("it was created");
    [upserted.client, read.0].map(|client| {
        let address = &client.addresses.expect("addresses were asked for")[0];
        (address.latitude, address.longitude)
    })
}

async fn notes(server: &TestServer, notes: &str) -> [Option<String>; 2] {
    let mut input = trevor();
    input.client.notes = Value(notes.to_owned());
    let upserted = upsert(server, &input).await;
    let by = ClientBy::EncodedKey(upserted.client.client.encoded_key.clone());
    let read = server
        .services
        .clients
        .get(&Caller::operator(), &by, ClientParts::ALL)
        .await
        .expect("the database answers")
        .expect("it was created");
    [upserted.client.client.notes, read.0.client.notes]
}

on_both!(
    degrees_round_trip_to_the_last_bit,
    texts_round_trip_character_for_character,
    text_length_counts_characters,
);

async fn degrees_round_trip_to_the_last_bit(server: &TestServer) {
    let special = [
        0.0,
        -0.0,
        90.0,
        -90.0,
        0.1 + 0.2,
        1.0 / 3.0,
        1e-7,
        5e-324,
        f64::MIN_POSITIVE,
        52.520_008_000_000_01,
        f64::from_bits(90f64.to_bits() - 1),
        1e-300,
        2f64.powi(-40) + 1.0,
        89.999_999_999_999_99,
    ];
    let random = samples(any::<u64>().prop_map(f64::from_bits), 600)
        .into_iter()
        .filter(|it| (-90.0..=90.0).contains(it));
    let ordinary = samples(-90.0..90.0, 150);
    let mut wrong = Vec::new();
    for latitude in special.into_iter().chain(random).chain(ordinary) {
        let expected = (Some(latitude), Some(latitude * 2.0));
        let bits = |(a, b): (Option<f64>, Option<f64>)| (a.map(f64::to_bits), b.map(f64::to_bits));
        for got in degrees(server, latitude, latitude * 2.0).await {
            if bits(got) != bits(expected) {
                wrong.push((expected, got));
            }
        }
    }
    assert_eq!(wrong, [], "{} wrong", wrong.len());
}

async fn texts_round_trip_character_for_character(server: &TestServer) {
    let texts = [
        // Normalisation forms, both ways of writing the same word.
        "Ame\u{301}lie",
        "Am\u{e9}lie",
        "\u{1100}\u{1161}\u{11a8}",
        "\u{ac01}",
        "\u{fb01}",
        "\u{212b}",
        // Right to left, with marks and overrides.
        "\u{5e9}\u{5b8}\u{5dc}\u{5d5}\u{5b9}\u{5dd}",
        "\u{202e}abc\u{202c}",
        "\u{200f}\u{645}\u{200e}",
        // Zero width, joined emoji, variation selectors, byte order marks.
        "a\u{200b}b\u{200c}c\u{200d}d\u{2060}",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "\u{feff}x\u{feff}",
        // White space at the ends, line ends, quotes, escapes of JSON and SQL.
        " x ",
        "\r\n\t",
        "'\"\\/; --",
        "\\u0041 \\n %s $1 ?",
        "\u{a0}\u{2028}\u{2029}",
        // The ends of the planes, noncharacters, private use.
        "\u{d7ff}\u{e000}\u{fffd}\u{fffe}\u{ffff}",
        "\u{10000}\u{1fffe}\u{e0001}\u{f0000}\u{10ffff}",
        "null",
        "NULL",
        "true",
        "1.0",
        "[]",
        "{}",
    ];
    let character = any::<char>().prop_filter("can't be stored", |character| !character.is_control());
    let random = samples(vec(character, 1..40).prop_map(String::from_iter), 100);
    for text in texts.map(str::to_owned).into_iter().chain(random) {
        assert_eq!(notes(server, &text).await, [Some(text.clone()), Some(text)]);
    }
    let every_plane = String::from_iter(('\u{a0}'..=char::MAX).step_by(18));
    for part in every_plane.chars().collect::<Vec<_>>().chunks(60_000) {
        let text = String::from_iter(part);
        assert!(notes(server, &text).await.iter().all(|got| *got == Some(text.clone())));
    }
}

async fn text_length_counts_characters(server: &TestServer) {
    for character in ['a', 'é', '語', '\u{1f600}'] {
        let text = character.to_string().repeat(65_535);
        assert!(notes(server, &text).await.iter().all(|got| *got == Some(text.clone())));
        let mut input = trevor();
        input.client.notes = Value(text + "a");
        assert_eq!(refused(server, &input).await, [ProblemCode::TooLong]);
    }
}
