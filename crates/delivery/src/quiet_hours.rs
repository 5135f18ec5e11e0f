//! Quiet hours: the part of each day, by the clocks of one time zone, in which no attempt begins.
//!
//! If a clock shows a time twice because it is set back, quiet hours begin at the first and end at the second of these
//! instants. A time that a clock skips counts as the instant of the change.

use std::str::FromStr;

use chrono::{DateTime, Days, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::settings::QuietHoursSettings;
use clientele_core::spelling::distance;

/// In minutes. A zone that changes its side of the date line skips a whole day.
const LONGEST_SKIP: i64 = 2 * 24 * 60;

/// Quiet hours of every day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    from: NaiveTime,
    /// A time before `from` is on the next day.
    to: NaiveTime,
    zone: Tz,
}

impl QuietHours {
    /// Parses the settings. None if they are empty.
    ///
    /// # Errors
    /// The name of the wrong setting and what it must be, as in `zone must be …`.
    pub fn new(settings: &QuietHoursSettings) -> Result<Option<Self>, String> {
        let QuietHoursSettings { from, to, zone } = settings;
        for (key, value) in [("from", from), ("to", to), ("zone", zone)] {
            if value.is_empty() && *settings != QuietHoursSettings::default() {
                return Err(format!("{key} is missing: quiet hours need from, to and zone"));
            }
        }
        if from.is_empty() {
            return Ok(None);
        }
        let quiet = Self {
            from: time("from", from)?,
            to: time("to", to)?,
            zone: Tz::from_str(zone).map_err(|_| unknown_zone(zone))?,
        };
        if quiet.from == quiet.to {
            return Err(
                "to must be another time than from: remove quiet_hours for none, and set transport = \"log\" to send \
                 nothing at all"
                    .to_owned(),
            );
        }
        Ok(Some(quiet))
    }

    /// The end of the quiet hours that `now` is in. None outside of them.
    pub fn end(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let today = now.with_timezone(&self.zone).date_naive();
        // Those that began yesterday can end today.
        let days = [today.checked_sub_days(Days::new(1)), Some(today)];
        let mut ends = days.into_iter().flatten().filter_map(|day| self.beginning_on(day));
        ends.find(|(start, end)| (*start..*end).contains(&now))
            .map(|(_, end)| end)
    }

    /// The quiet hours that begin on a day. None beyond the calendar.
    fn beginning_on(&self, day: NaiveDate) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let last_day = match self.to > self.from {
            true => day,
            false => day.checked_add_days(Days::new(1))?,
        };
        let start = match self.instants(day.and_time(self.from))? {
            MappedLocalTime::Ambiguous(first, _) => first,
            other => other.single()?,
        };
        let end = match self.instants(last_day.and_time(self.to))? {
            MappedLocalTime::Ambiguous(_, last) => last,
            other => other.single()?,
        };
        Some((start, end))
    }

    /// The instants at which the clocks show a time; if they skip it, the instant at which they do. Zones change their
    /// clocks at whole minutes.
    fn instants(&self, time: NaiveDateTime) -> Option<MappedLocalTime<DateTime<Utc>>> {
        let shown = |minutes| {
            let instants = self.zone.from_local_datetime(&(time + TimeDelta::minutes(minutes)));
            instants.map(|instant| instant.to_utc())
        };
        let mut found = (0..=LONGEST_SKIP).map(|minutes| (minutes, shown(minutes)));
        let (skipped, instants) = found.find(|(_, instants)| *instants != MappedLocalTime::None)?;
        match skipped {
            0 => Some(instants),
            _ => instants.earliest().map(MappedLocalTime::Single),
        }
    }
}

fn time(key: &str, text: &str) -> Result<NaiveTime, String> {
    // The library also parses `9:5` and ` 09:05`.
    let is_time = text.len() == 5 && !text.contains(' ');
    let parsed = NaiveTime::parse_from_str(text, "%H:%M").ok().filter(|_| is_time);
    parsed.ok_or_else(|| format!("{key} must be a time from 00:00 to 23:59, as in 21:00"))
}

fn unknown_zone(text: &str) -> String {
    let sentence = "zone must be a time zone of the IANA database, as in Europe/Berlin";
    // Names of cities are known better than those of zones.
    let city = |zone: &&Tz| {
        let city = zone.name().rsplit('/').next().unwrap_or_default();
        city.eq_ignore_ascii_case(text) && zone.name().contains('/')
    };
    let near = |zone: &&Tz| distance(text, zone.name(), text.chars().count() / 4);
    let meant = TZ_VARIANTS.iter().find(city).or_else(|| {
        let zones = TZ_VARIANTS.iter().filter_map(|zone| Some((near(&zone)?, zone)));
        zones.min_by_key(|(distance, _)| *distance).map(|(_, zone)| zone)
    });
    match meant {
        Some(zone) => format!("{sentence}: did you mean {}?", zone.name()),
        None => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests;
