//! Properties of cursors and filters that hold for any input. The fuzz targets call these.

use async_graphql::{InputType, Value};

use super::{ClientOrder, ClientOrderField, OrderDirection, filter::ClientFilter, prefix::end_of_prefix};
use clientele_storage::{
    db::Dialect,
    paging::{Cursor, Order},
};

/// Checks that any text that is read as a cursor can be written and read again, and that every written cursor can be
/// read.
///
/// # Panics
/// If the property doesn't hold.
pub fn cursor(text: &str) {
    let of_clients = |field| {
        Order::from(ClientOrder {
            field,
            direction: OrderDirection::Asc,
        })
    };
    let by_name = of_clients(ClientOrderField::Name);
    let orders = [
        of_clients(ClientOrderField::CreatedAt),
        of_clients(ClientOrderField::UpdatedAt),
        by_name,
        // Another order by instants and keys, such as that of messages.
        Order {
            name: "message",
            columns: &["created_at", "encoded_key"],
            descending: true,
        },
    ];
    let readings = orders
        .iter()
        .filter_map(|order| Some((order, Cursor::decode(text, order)?)));
    let readings: Vec<(&Order, Cursor)> = readings.collect();
    assert!(readings.len() <= 1, "a cursor belongs to one order");
    for (order, cursor) in readings {
        assert_eq!(Cursor::decode(&cursor.encode(order), order), Some(cursor));
    }
    // Stored names have at most 255 characters, and no U+0000.
    let mut parts = text.split('\0').map(|part| part.chars().take(255).collect::<String>());
    let values: Vec<String> = std::iter::from_fn(|| Some(parts.next().unwrap_or_default()))
        .take(3)
        .collect();
    let cursor = Cursor::of(values);
    assert_eq!(Cursor::decode(&cursor.encode(&by_name), &by_name), Some(cursor));
}

/// Checks that the conditions of a filter bind every value at least once, and that their text contains none of it.
///
/// # Panics
/// If the property doesn't hold.
pub fn filter(json: &str) {
    let Ok(value) = serde_json::from_str::<Value>(json) else {
        return;
    };
    let Ok(filter) = ClientFilter::parse(Some(value)) else {
        return;
    };
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        if filter.too_large().is_some() {
            return;
        }
        let conditions = filter.conditions(dialect, None, &mut |_| false);
        let clause = conditions.clause();
        for number in 1..=conditions.values.len() {
            assert!(clause.contains(&format!("${number}")), "${number} isn't in {clause}");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || " _.,:$()<>=".contains(c);
        assert!(clause.chars().all(plain), "{clause}");
    }
    for prefix in [&filter.first_name_starts_with, &filter.last_name_starts_with]
        .into_iter()
        .flatten()
    {
        let Some(end) = end_of_prefix(prefix) else { continue };
        for text in [prefix.clone(), format!("{prefix}a"), format!("{prefix}{}", char::MAX)] {
            assert!(*prefix <= text && text < end, "{prefix:?} {end:?}");
        }
    }
}
