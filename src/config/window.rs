//! When runs may begin: weekly windows and frozen days, each in its own time zone.
//!
//! Only calculates; the clock is the caller's. Read by `[environments.NAME]`.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan, Zoned};

/// `"Tue-Thu 02:00-05:00 Asia/Seoul"`: every week on these days. A window that ends at or before
/// the time it begins goes on into the next day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// As it was written.
    pub text: String,
    /// Monday first.
    days: [bool; 7],
    from: Time,
    to: Time,
    zone: TimeZone,
}

/// `"2026-12-20..2027-01-03 Asia/Seoul"`: whole days, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// As it was written.
    pub text: String,
    first: Date,
    last: Date,
    zone: TimeZone,
}

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowError {
    /// Not of that shape.
    Shape,
    /// The time zone is not known on this machine.
    Zone,
}

/// Longest search for an opening: a leap year and a frozen one.
const LATEST: i64 = 800;

impl Window {
    /// Reads a window. Without a zone it is in UTC.
    ///
    /// # Errors
    /// See [`WindowError`].
    pub fn parse(text: &str) -> Result<Self, WindowError> {
        let mut words = text.split_whitespace();
        let (days, times) =
            (words.next().ok_or(WindowError::Shape)?, words.next().ok_or(WindowError::Shape)?);
        let named = words.next();
        if words.next().is_some() {
            return Err(WindowError::Shape);
        }
        let (from, to) = times.split_once('-').ok_or(WindowError::Shape)?;
        let (from, to) = (time(from)?, time(to)?);
        let days = weekdays(days)?;
        Ok(Self { text: text.trim().to_string(), days, from, to, zone: zone(named)? })
    }

    /// The opening that begins on this day, if one does.
    fn on(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        if !self.days[day.weekday().to_monday_zero_offset() as usize] {
            return None;
        }
        let ends_on = if self.to <= self.from { day.checked_add(1.day()).ok()? } else { day };
        let at = |day: Date, time: Time| {
            day.to_datetime(time).to_zoned(self.zone.clone()).ok().map(|at| at.timestamp())
        };
        Some((at(day, self.from)?, at(ends_on, self.to)?))
    }

    /// True where it is open.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let today = now.to_zoned(self.zone.clone()).date();
        let yesterday = today.checked_sub(1.day()).unwrap_or(today);
        [yesterday, today]
            .into_iter()
            .filter_map(|day| self.on(day))
            .any(|(from, to)| from <= now && now < to)
    }

    /// The next moment that it opens, outside of frozen days.
    fn opens(&self, now: Timestamp, frozen: &[Freeze]) -> Option<Zoned> {
        let today = now.to_zoned(self.zone.clone()).date();
        (0..LATEST)
            .filter_map(|days| today.checked_add(Span::new().days(days)).ok())
            .filter_map(|day| self.on(day))
            .map(|(from, _)| from)
            .find(|from| *from > now && !frozen.iter().any(|freeze| freeze.holds(*from)))
            .map(|from| from.to_zoned(self.zone.clone()))
    }
}

impl Freeze {
    /// Reads frozen days. Without a zone they are in UTC.
    ///
    /// # Errors
    /// See [`WindowError`].
    pub fn parse(text: &str) -> Result<Self, WindowError> {
        let mut words = text.split_whitespace();
        let days = words.next().ok_or(WindowError::Shape)?;
        let named = words.next();
        if words.next().is_some() {
            return Err(WindowError::Shape);
        }
        let (first, last) = days.split_once("..").unwrap_or((days, days));
        let date = |text: &str| text.parse::<Date>().map_err(|_| WindowError::Shape);
        let (first, last) = (date(first)?, date(last)?);
        if last < first {
            return Err(WindowError::Shape);
        }
        Ok(Self { text: text.trim().to_string(), first, last, zone: zone(named)? })
    }

    /// True where the moment lies in it.
    pub fn holds(&self, now: Timestamp) -> bool {
        let today = now.to_zoned(self.zone.clone()).date();
        self.first <= today && today <= self.last
    }

    /// The first moment behind it.
    fn ends(&self) -> Option<Zoned> {
        self.last.checked_add(1.day()).ok()?.to_zoned(self.zone.clone()).ok()
    }
}

/// Why nothing may begin now, and when it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The rules as written: the frozen days, else all windows.
    pub rule: String,
    /// True for frozen days.
    pub frozen: bool,
    /// None where nothing opens within two years.
    pub opens: Option<Zoned>,
}

/// Whether something may begin now.
///
/// # Errors
/// [`Closed`], with the next opening.
pub fn may_begin(windows: &[Window], frozen: &[Freeze], now: Timestamp) -> Result<(), Closed> {
    let freeze = frozen.iter().find(|freeze| freeze.holds(now));
    let open = windows.is_empty() || windows.iter().any(|window| window.is_open(now));
    let Some(freeze) = freeze else {
        if open {
            return Ok(());
        }
        let rules: Vec<_> = windows.iter().map(|window| window.text.as_str()).collect();
        let opens = windows.iter().filter_map(|window| window.opens(now, frozen)).min();
        return Err(Closed { rule: rules.join("; "), frozen: false, opens });
    };
    // Behind the frozen days it may be open at once, or a window comes later.
    let mut opens = freeze.ends();
    while let Some(end) = opens.clone() {
        match may_begin(windows, frozen, end.timestamp()) {
            Ok(()) => break,
            Err(closed) if closed.opens.as_ref().is_some_and(|later| *later > end) => {
                opens = closed.opens;
                break;
            }
            Err(_) => opens = None,
        }
    }
    Err(Closed { rule: freeze.text.clone(), frozen: true, opens })
}

fn zone(name: Option<&str>) -> Result<TimeZone, WindowError> {
    match name {
        None | Some("UTC") => Ok(TimeZone::UTC),
        Some(name) => TimeZone::get(name).map_err(|_| WindowError::Zone),
    }
}

fn time(text: &str) -> Result<Time, WindowError> {
    let (hour, minute) = text.split_once(':').ok_or(WindowError::Shape)?;
    let number = |text: &str| text.parse::<i8>().map_err(|_| WindowError::Shape);
    match (number(hour)?, number(minute)?) {
        (24, 0) => Ok(Time::midnight()),
        (hour, minute) => Time::new(hour, minute, 0, 0).map_err(|_| WindowError::Shape),
    }
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// `Tue-Thu`, `Sat,Sun`, `Mon-Wed,Fri`, `daily`.
fn weekdays(text: &str) -> Result<[bool; 7], WindowError> {
    let mut days = [false; 7];
    if text.eq_ignore_ascii_case("daily") {
        return Ok([true; 7]);
    }
    let day = |text: &str| {
        let at = DAYS.iter().position(|(name, _)| name.eq_ignore_ascii_case(text));
        at.ok_or(WindowError::Shape)
    };
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (day(first)?, day(last)?);
        days[at] = true;
        while at != last {
            at = (at + 1) % 7;
            days[at] = true;
        }
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn closed(windows: &[&str], frozen: &[&str], now: &str) -> Option<String> {
        let windows: Vec<_> = windows.iter().map(|text| Window::parse(text).unwrap()).collect();
        let frozen: Vec<_> = frozen.iter().map(|text| Freeze::parse(text).unwrap()).collect();
        let closed = may_begin(&windows, &frozen, at(now)).err()?;
        Some(closed.opens.map_or("never".into(), |opens| opens.strftime("%F %H:%M").to_string()))
    }

    #[test]
    fn a_window_is_open_in_its_own_zone_and_says_when_it_opens() {
        let windows = ["Tue-Thu 02:00-05:00 +09:00"];
        assert!(Window::parse(windows[0]).is_err(), "an offset is no zone");
        let windows = ["Tue-Thu 02:00-05:00 UTC"];
        // 2026-11-17 is a Tuesday.
        assert_eq!(closed(&windows, &[], "2026-11-17T02:00:00Z"), None);
        assert_eq!(closed(&windows, &[], "2026-11-17T04:59:59Z"), None);
        let next = closed(&windows, &[], "2026-11-17T05:00:00Z");
        assert_eq!(next.as_deref(), Some("2026-11-18 02:00"));
        let next = closed(&windows, &[], "2026-11-19T06:00:00Z");
        assert_eq!(next.as_deref(), Some("2026-11-24 02:00"));
        assert_eq!(closed(&[], &[], "2026-11-19T06:00:00Z"), None);
    }

    #[test]
    fn a_window_may_go_over_midnight_and_over_the_end_of_the_week() {
        let windows = ["Fri-Mon 22:00-02:00"];
        assert_eq!(closed(&windows, &[], "2026-11-24T01:59:00Z"), None, "Monday's goes on");
        let next = closed(&windows, &[], "2026-11-24T02:00:00Z");
        assert_eq!(next.as_deref(), Some("2026-11-27 22:00"));
    }

    #[test]
    fn frozen_days_close_everything_and_the_next_window_behind_them_opens() {
        let frozen = ["2026-12-20..2027-01-03"];
        let next = closed(&["daily 02:00-03:00"], &frozen, "2026-12-24T02:30:00Z");
        assert_eq!(next.as_deref(), Some("2027-01-04 02:00"));
        let next = closed(&[], &frozen, "2026-12-24T02:30:00Z");
        assert_eq!(next.as_deref(), Some("2027-01-04 00:00"));
        let next = closed(&["Sun 02:00-03:00"], &frozen, "2026-12-19T12:00:00Z");
        assert_eq!(next.as_deref(), Some("2027-01-10 02:00"), "frozen openings are no openings");
        assert_eq!(closed(&[], &frozen, "2027-01-04T00:00:00Z"), None);
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in
            ["", "Tue", "Tue 2-5", "Tues 02:00-05:00", "Tue 25:00-26:00", "Tue 02:00-05:00 x y"]
        {
            assert_eq!(Window::parse(text), Err(WindowError::Shape), "{text}");
        }
        assert_eq!(Window::parse("Tue 02:00-05:00 Mars/Base"), Err(WindowError::Zone));
        for text in ["2026-13-01", "2026-12-20..2026-12-19", "soon"] {
            assert_eq!(Freeze::parse(text), Err(WindowError::Shape), "{text}");
        }
    }
}
