//! The calendar dates of the legacy API: `yyyy-MM-dd`, alone or at the start of a timestamp.

use clientele_core::scalar::Date;

/// Parses a date, or the date of a timestamp as written, without conversion of its zone.
pub fn date(text: &str) -> Option<Date> {
    let (day, time) = text.split_at_checked(10)?;
    let fits = match time.split_at_checked(1) {
        None => time.is_empty(),
        Some(("T" | " ", time)) => is_time(time),
        Some(_) => false,
    };
    if fits { Date::parse(day) } else { None }
}

/// `HH:mm`, with optional seconds, fraction and zone.
fn is_time(text: &str) -> bool {
    let clock_end = text
        .find(|character: char| !character.is_ascii_digit() && character != ':')
        .unwrap_or(text.len());
    let (clock, rest) = text.split_at(clock_end);
    let mut limits = [23, 59, 60].into_iter();
    let on_clock = |part: &str| match (two_digits(part), limits.next()) {
        (Some(number), Some(most)) => number <= most,
        _ => false,
    };
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|character: char| character.is_ascii_digit());
            if zone.len() == fraction.len() {
                return false;
            }
            zone
        }
        None => rest,
    };
    clock.len() >= 5 && clock.split(':').all(on_clock) && is_zone(zone)
}

/// `Z`, `UTC`, `+HHMM`, `+HH:MM`, `+HH`, or none; optionally after a space, as Ruby prints times. In a URL, an
/// unescaped plus arrives as a space.
fn is_zone(text: &str) -> bool {
    let zone = match text.strip_prefix(' ') {
        Some(zone) if zone.starts_with(['+', '-', ' ', 'Z', 'U']) => zone,
        _ => text,
    };
    if matches!(zone, "" | "Z" | "UTC") {
        return true;
    }
    let Some(offset) = zone.strip_prefix(['+', '-', ' ']) else {
        return false;
    };
    let (hours, minutes) = match (offset.len(), offset.split_once(':')) {
        (5, Some(parts)) => parts,
        (4, None) if offset.is_ascii() => offset.split_at(2),
        (2, None) => (offset, "00"),
        _ => return false,
    };
    two_digits(hours).is_some_and(|hours| hours <= 23) && two_digits(minutes).is_some_and(|minutes| minutes <= 59)
}

fn two_digits(text: &str) -> Option<u8> {
    let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn a_date_is_read_as_written() {
        for text in [
            "1990-04-17",
            "1990-04-17T00:00:00+0000",
            "1990-04-17T23:59:59-11:00",
            "1990-04-17T23:30:00.123Z",
            "1990-04-17T10:00",
            "1990-04-17 10:00:00",
            "1990-04-17T00:00:00 0000",
            "1990-04-17T00:00:00+05",
            "1990-04-17 12:34:56 +0800",
            "1990-04-17 12:34:56 -08:00",
            "1990-04-17 12:34:56 UTC",
            "1990-04-17T12:34:56.5 Z",
            "1990-04-17 12:34:56  0800",
        ] {
            assert_eq!(
                date(text).map(|date| date.0.to_string()).as_deref(),
                Some("1990-04-17"),
                "{text}"
            );
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "1990",
            "1990-02-30",
            "1990-04-17T",
            "1990-04-17x",
            "1990-04-17T25:00:00",
            "1990-04-17T10:61:00",
            "1990-04-17T10",
            "1990-04-17T10:00:00.Z",
            "1990-04-17T10:00:00:00",
            "1990-04-17T10:00:00+1",
            "1990-04-17T10:00:00+é1",
            "1990-04-17 12:34:56 ",
            "1990-04-17 12:34:56  ",
            "1990-04-17 12:34:56   0800",
            "1990-04-17 12:34:56 CET",
            "1990-04-17  12:34:56",
            "1990-04-17 +0800",
            "17-04-1990",
            "1990-04-1é",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }
}
