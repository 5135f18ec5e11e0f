//! Quiet hours across changes of the clocks, and the errors of their settings.

use chrono::{DateTime, NaiveTime, TimeDelta, TimeZone, Timelike, Utc};

use super::{QuietHours, QuietHoursSettings};

fn settings(from: &str, to: &str, zone: &str) -> QuietHoursSettings {
    QuietHoursSettings {
        from: from.to_owned(),
        to: to.to_owned(),
        zone: zone.to_owned(),
    }
}

fn quiet(from: &str, to: &str, zone: &str) -> QuietHours {
    let parsed = QuietHours::new(&settings(from, to, zone)).expect("valid");
    parsed.expect("three settings")
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

/// Asserts the first and the last second of quiet hours, and the seconds around them.
#[track_caller]
fn lasts(quiet: QuietHours, from: &str, until: &str) {
    let (from, until) = (at(from), at(until));
    let second = TimeDelta::seconds(1);
    assert_eq!(quiet.end(from - second), None, "before");
    assert_eq!(quiet.end(from), Some(until), "the first second");
    assert_eq!(quiet.end(until - second), Some(until), "the last second");
    assert_eq!(quiet.end(until), None, "after");
}

#[test]
fn hours_on_one_day_or_across_midnight() {
    lasts(
        quiet("12:30", "14:00", "UTC"),
        "2026-12-01T12:30:00Z",
        "2026-12-01T14:00:00Z",
    );
    lasts(
        quiet("21:00", "08:00", "UTC"),
        "2026-12-01T21:00:00Z",
        "2026-12-02T08:00:00Z",
    );
    lasts(
        quiet("00:00", "23:59", "UTC"),
        "2026-12-01T00:00:00Z",
        "2026-12-01T23:59:00Z",
    );
    lasts(
        quiet("23:59", "00:00", "UTC"),
        "2026-12-31T23:59:00Z",
        "2027-01-01T00:00:00Z",
    );
    // Behind UTC by hours, and ahead by hours and minutes.
    let new_york = quiet("21:00", "08:00", "America/New_York");
    lasts(new_york, "2026-12-02T02:00:00Z", "2026-12-02T13:00:00Z");
    let kathmandu = quiet("21:00", "08:00", "Asia/Kathmandu");
    lasts(kathmandu, "2026-12-01T15:15:00Z", "2026-12-02T02:15:00Z");
}

#[test]
fn part_of_a_second_counts() {
    let quiet = quiet("21:00", "08:00", "UTC");
    assert_eq!(quiet.end(at("2026-12-01T20:59:59.999999Z")), None);
    let end = Some(at("2026-12-02T08:00:00Z"));
    assert_eq!(quiet.end(at("2026-12-02T07:59:59.999999Z")), end);
}

#[test]
fn nights_with_a_change_are_shorter_or_longer() {
    let berlin = quiet("21:00", "08:00", "Europe/Berlin");
    // 29 March 2026, 02:00 becomes 03:00.
    lasts(berlin, "2026-03-28T20:00:00Z", "2026-03-29T06:00:00Z");
    // 25 October 2026, 03:00 becomes 02:00.
    lasts(berlin, "2026-10-24T19:00:00Z", "2026-10-25T07:00:00Z");
}

#[test]
fn skipped_time_is_that_of_the_change() {
    let change = "2026-03-29T01:00:00Z";
    let ends_within = quiet("21:00", "02:30", "Europe/Berlin");
    lasts(ends_within, "2026-03-28T20:00:00Z", change);
    let begins_within = quiet("02:30", "06:00", "Europe/Berlin");
    lasts(begins_within, change, "2026-03-29T04:00:00Z");
    // Both are skipped: there are no quiet hours on that day.
    let within = quiet("02:10", "02:50", "Europe/Berlin");
    assert_eq!(within.end(at(change)), None);
    assert_eq!(within.end(at("2026-03-29T00:59:59Z")), None);
    lasts(within, "2026-03-30T00:10:00Z", "2026-03-30T00:50:00Z");
    // The time of the change itself exists once, as 03:00.
    lasts(quiet("21:00", "03:00", "Europe/Berlin"), "2026-03-28T20:00:00Z", change);
    lasts(quiet("21:00", "02:00", "Europe/Berlin"), "2026-03-28T20:00:00Z", change);
}

#[test]
fn repeated_time_begins_at_its_first_and_ends_at_its_last_instant() {
    // 02:30 is at 00:30 and at 01:30 UTC.
    let ends_within = quiet("21:00", "02:30", "Europe/Berlin");
    lasts(ends_within, "2026-10-24T19:00:00Z", "2026-10-25T01:30:00Z");
    let begins_within = quiet("02:30", "06:00", "Europe/Berlin");
    lasts(begins_within, "2026-10-25T00:30:00Z", "2026-10-25T05:00:00Z");
    let within = quiet("02:10", "02:50", "Europe/Berlin");
    lasts(within, "2026-10-25T00:10:00Z", "2026-10-25T01:50:00Z");
}

#[test]
fn zones_with_unusual_changes() {
    // Lord Howe Island changes by half an hour: on 4 October 2026, 02:00 becomes 02:30.
    let lord_howe = quiet("21:00", "02:15", "Australia/Lord_Howe");
    lasts(lord_howe, "2026-10-03T10:30:00Z", "2026-10-03T15:30:00Z");
    // Samoa skipped 30 December 2011: the quiet hours of its evening begin when the day after begins.
    let apia = quiet("21:00", "08:00", "Pacific/Apia");
    lasts(
        quiet("21:00", "23:00", "Pacific/Apia"),
        "2011-12-30T07:00:00Z",
        "2011-12-30T09:00:00Z",
    );
    assert_eq!(apia.end(at("2011-12-30T09:59:59Z")), Some(at("2011-12-30T10:00:00Z")));
    assert_eq!(apia.end(at("2011-12-30T10:00:00Z")), Some(at("2011-12-30T18:00:00Z")));
}

/// A year in steps of 35 minutes, in zones with all kinds of changes, against what the clocks show.
#[test]
fn hours_are_those_that_the_clocks_show() {
    let zones = [
        "Europe/Berlin",
        "America/New_York",
        "America/St_Johns",
        "Africa/Casablanca",
        "Australia/Lord_Howe",
        "Pacific/Chatham",
    ];
    for name in zones {
        for (from, to) in [("21:00", "08:00"), ("02:15", "02:45"), ("23:45", "00:15")] {
            let quiet = quiet(from, to, name);
            let (from, to) = (quiet.from, quiet.to);
            let contains = |time: NaiveTime| match from < to {
                true => (from..to).contains(&time),
                false => time >= from || time < to,
            };
            let offset = |now: DateTime<Utc>| {
                use chrono::Offset;
                let local = quiet.zone.offset_from_utc_datetime(&now.naive_utc());
                local.fix().local_minus_utc()
            };
            let mut now = at("2026-01-01T00:00:00Z");
            while now < at("2027-01-01T00:00:00Z") {
                let shown = now.with_timezone(&quiet.zone).time();
                let end = quiet.end(now);
                let day = TimeDelta::days(1);
                // Around a change, the tests above say what holds.
                if offset(now - day) == offset(now + day) {
                    assert_eq!(end.is_some(), contains(shown), "{name} {now} {shown}");
                    if let Some(end) = end {
                        let shown = end.with_timezone(&quiet.zone).time();
                        assert_eq!(shown.with_second(0), Some(to), "{name} {now} {end}");
                    }
                }
                if let Some(end) = end {
                    assert!(end > now && end - now < TimeDelta::hours(25), "{name} {now} {end}");
                }
                now += TimeDelta::minutes(35);
            }
        }
    }
}

#[test]
fn wrong_setting_is_named_with_what_it_must_be() {
    assert_eq!(QuietHours::new(&settings("", "", "")), Ok(None));
    let time = "must be a time from 00:00 to 23:59, as in 21:00";
    let zone = "zone must be a time zone of the IANA database, as in Europe/Berlin";
    for (from, to, name, reason) in [
        ("24:00", "08:00", "UTC", format!("from {time}")),
        ("21:00", "8:00", "UTC", format!("to {time}")),
        ("21:00", "08:60", "UTC", format!("to {time}")),
        ("21:00", " 8:00", "UTC", format!("to {time}")),
        ("21:0", "08:00", "UTC", format!("from {time}")),
        ("21.00", "08:00", "UTC", format!("from {time}")),
        ("9 pm", "08:00", "UTC", format!("from {time}")),
        (
            "",
            "08:00",
            "UTC",
            "from is missing: quiet hours need from, to and zone".to_owned(),
        ),
        (
            "21:00",
            "",
            "UTC",
            "to is missing: quiet hours need from, to and zone".to_owned(),
        ),
        (
            "21:00",
            "08:00",
            "",
            "zone is missing: quiet hours need from, to and zone".to_owned(),
        ),
        (
            "08:00",
            "08:00",
            "UTC",
            "to must be another time than from: remove quiet_hours for none, and set transport = \"log\" to send \
             nothing at all"
                .to_owned(),
        ),
        (
            "21:00",
            "08:00",
            "Europe/Berln",
            format!("{zone}: did you mean Europe/Berlin?"),
        ),
        (
            "21:00",
            "08:00",
            "europe/berlin",
            format!("{zone}: did you mean Europe/Berlin?"),
        ),
        (
            "21:00",
            "08:00",
            "Berlin",
            format!("{zone}: did you mean Europe/Berlin?"),
        ),
        (
            "21:00",
            "08:00",
            "new_york",
            format!("{zone}: did you mean America/New_York?"),
        ),
        ("21:00", "08:00", "+01:00", zone.to_owned()),
        ("21:00", "08:00", "Middle Earth", zone.to_owned()),
    ] {
        assert_eq!(QuietHours::new(&settings(from, to, name)), Err(reason));
    }
}
