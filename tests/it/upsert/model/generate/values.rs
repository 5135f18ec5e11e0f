//! The custom values of a generated request, given the client that it changes.

use proptest::sample::Index;

use super::{Entry, Members, Request, Sent, Wanted, Way};
use crate::upsert::model::rules::{Client, Model, StoredValue};

/// Fields with values to try: most fit, some don't. Those of the grouped set, and wrong ids, are at the end.
const VALUES: [(&str, &[&str]); 17] = [
    ("text", &["a", " b ", "abcd", "", "longer than five"]),
    ("number", &["12.50", "12.5", "-7", "1e5"]),
    ("flag", &["TRUE", "true", "FALSE", "yes"]),
    ("band", &["LOW", "HIGH", "MEDIUM"]),
    ("day", &["2024-02-29", "2023-02-29"]),
    ("friend", &["", "absent"]),
    ("crm", &["A-1", "A-2", "A-3"]),
    ("tax", &["1", "1.0", "01", "2", "-0", "0", "x"]),
    ("nick", &["n", "m", "N"]),
    ("country", &["NL", "DE", "FR"]),
    ("town", &["Other", "Delft", "Bonn", "Rome"]),
    ("vat", &["12a", "34b", "1a"]),
    ("card", &["c", "d", ""]),
    ("holder", &["h", "i"]),
    ("serial", &["S1", "S2", "S3"]),
    ("nonsense", &["x"]),
    ("", &["x"]),
];
const SINGLE: usize = 12;
const GROUPED: usize = 15;

/// A value that fits its field.
fn sound(field: &str, model: &Model) -> String {
    let values = VALUES
        .iter()
        .find(|(id, _)| *id == field)
        .map_or(&["x"][..], |(_, values)| *values);
    let accepted = |value: &&&str| {
        model
            .definitions
            .field(field)
            .is_some_and(|field| field.accept(value).is_ok())
    };
    values.iter().find(accepted).map_or("x", |value| *value).to_owned()
}

fn entry((field, value, kind): &(Index, Index, u8), model: &Model) -> Entry {
    let (field, values) = match kind {
        0 => field.get(&VALUES),
        1..=3 => field.get(&VALUES[..GROUPED]),
        _ => field.get(&VALUES[..SINGLE]),
    };
    let value = match kind {
        1 => Sent::Absent,
        2 => Sent::Null,
        // A link to an existing client, if any.
        3.. if *field == "friend" && !model.clients.is_empty() => Sent::Value(value.get(&model.clients).key.clone()),
        10.. => Sent::Value(values[0].to_owned()),
        _ => Sent::Value((*value.get(values)).to_owned()),
    };
    Entry {
        field,
        group: None,
        value,
    }
}

/// The values of one group, which rarely has an unusual index.
fn group(next: i32, (pick, kind): &(Index, u8)) -> Vec<Entry> {
    let index = match kind {
        0 => Some(next + 1),
        1 => None,
        2 => Some(-1),
        3 => Some(0),
        _ => Some(next),
    };
    let fields: &[&str] = match kind {
        3..8 => &["holder", "card", "serial"],
        8..12 => &["serial", "holder"],
        12..14 => &["card"],
        14..20 => &["card", "holder"],
        _ => &["holder"],
    };
    let value = |field: &&str| {
        let (field, values) = VALUES.iter().find(|(id, _)| id == field).expect("a field of the table");
        Entry {
            field,
            group: index,
            value: Sent::Value((*pick.get(values)).to_owned()),
        }
    };
    fields.iter().map(value).collect()
}

fn stored(value: &StoredValue, with_text: bool) -> Entry {
    Entry {
        field: value.field,
        group: value.group,
        value: match with_text {
            true => Sent::Value(value.value.clone()),
            false => Sent::Absent,
        },
    }
}

impl Request {
    /// The complete list of a POST or an upsert.
    pub fn complete_values(&self, present: Option<&Client>, model: &Model, client: &Members) -> Sent<Vec<Entry>> {
        let role = model.role_after(present, client).id;
        let mut list = match &self.values {
            Sent::Value(wanted) => self.listed(wanted, present, model),
            Sent::Null => return Sent::Null,
            Sent::Absent if present.is_some() || !self.is_completed => return Sent::Absent,
            Sent::Absent => Vec::new(),
        };
        if !self.is_completed {
            return Sent::Value(list);
        }
        list.retain(|entry| {
            model
                .definitions
                .field(entry.field)
                .is_none_or(|field| field.is_available(role))
        });
        let is_listed = |list: &[Entry], id: &str| list.iter().any(|entry| entry.field == id);
        if is_listed(&list, "town") && !is_listed(&list, "country") {
            list.push(self.sound("country", None, model));
        }
        let demanded = model.definitions.fields.iter().filter(|field| field.is_demanded(role));
        for field in demanded.filter(|field| self.access.edits(field.id)) {
            if !field.is_grouped() {
                if !is_listed(&list, field.id) {
                    list.push(self.sound(field.id, None, model));
                }
                continue;
            }
            let of_set = |entry: &&Entry| {
                model
                    .definitions
                    .field(entry.field)
                    .is_some_and(|other| other.set == field.set)
            };
            let mut groups: Vec<i32> = list.iter().filter(of_set).filter_map(|entry| entry.group).collect();
            groups.sort_unstable();
            groups.dedup();
            for group in groups {
                if !list
                    .iter()
                    .any(|entry| entry.field == field.id && entry.group == Some(group))
                {
                    list.push(self.sound(field.id, Some(group), model));
                }
            }
        }
        match (list.is_empty(), &self.values) {
            (true, Sent::Absent) => Sent::Absent,
            _ => Sent::Value(list),
        }
    }

    fn sound(&self, field: &'static str, group: Option<i32>, model: &Model) -> Entry {
        Entry {
            field,
            group,
            value: Sent::Value(sound(field, model)),
        }
    }

    fn listed(&self, wanted: &Wanted, present: Option<&Client>, model: &Model) -> Vec<Entry> {
        let seen = present
            .iter()
            .flat_map(|client| &client.values)
            .filter(|value| self.access.sees(value.field));
        let mut list: Vec<Entry> = match wanted.stored {
            0 => Vec::new(),
            1 => seen.map(|value| stored(value, false)).collect(),
            _ => seen.map(|value| stored(value, true)).collect(),
        };
        for single in &wanted.singles {
            let entry = entry(single, model);
            let place = list
                .iter()
                .position(|other| (other.field, other.group) == (entry.field, entry.group));
            match place {
                // One value in twenty is listed twice.
                Some(place) if single.2 != 19 => list[place] = entry,
                _ => list.push(entry),
            }
        }
        let next = list
            .iter()
            .filter_map(|entry| entry.group)
            .max()
            .map_or(0, |group| group + 1);
        for (next, wanted) in (next..).zip(&wanted.groups) {
            list.extend(group(next, wanted));
        }
        list
    }

    /// The values that a partial change names.
    pub fn partial(&self, present: Option<&Client>, model: &Model) -> Vec<Entry> {
        let wanted = match &self.values {
            Sent::Value(wanted) => wanted.clone(),
            _ => Wanted {
                stored: 0,
                singles: Vec::new(),
                groups: Vec::new(),
            },
        };
        let own = present.map(|client| client.values.as_slice()).unwrap_or_default();
        let next = own
            .iter()
            .filter_map(|value| value.group)
            .max()
            .map_or(0, |group| group + 1);
        let mut list: Vec<Entry> = wanted.singles.iter().map(|single| entry(single, model)).collect();
        for (next, wanted) in (next..).zip(&wanted.groups) {
            let is_new = wanted.1 % 2 == 0;
            let entries = group(next, wanted).into_iter();
            list.extend(entries.map(|entry| Entry {
                group: entry.group.filter(|_| !is_new),
                ..entry
            }));
        }
        // Some of the stored values.
        let picked = own
            .iter()
            .enumerate()
            .filter(|(at, _)| (at + wanted.groups.len()).is_multiple_of(3));
        list.extend(picked.map(|(at, value)| {
            let values = VALUES
                .iter()
                .find(|(id, _)| *id == value.field)
                .map_or(&["x"][..], |(_, values)| *values);
            Entry {
                value: Sent::Value(values[at % values.len()].to_owned()),
                ..stored(value, false)
            }
        }));
        if self.way == Way::PatchValues {
            return list;
        }
        let named = |entry: &Entry| !entry.field.is_empty();
        let value = list.into_iter().rfind(named);
        // The path names a field.
        let text = Entry {
            field: "text",
            group: None,
            value: Sent::Value("a".to_owned()),
        };
        vec![value.unwrap_or(text)]
    }
}
