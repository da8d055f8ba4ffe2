//! Points in time, as archives have them.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// A point in time. Written as RFC 3339 in UTC, with the digits that the source has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Timestamp);

impl Time {
    /// Reads RFC 3339. `None` for the year 1, which Go programs write for "never", and for other text.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with("0001-01-01T00:00:00") {
            return None;
        }
        text.trim().parse().ok().map(Self)
    }

    /// Seconds since 1970. `None` for 0, which stands for no time, and for what no calendar has.
    pub fn from_seconds(seconds: u64) -> Option<Self> {
        let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds != 0)?;
        Timestamp::from_second(seconds).ok().map(Self)
    }

    /// Nanoseconds since 1970. `None` for 0, which stands for no time, and for what no calendar has.
    pub fn from_nanoseconds(nanoseconds: i64) -> Option<Self> {
        let nanoseconds = Some(nanoseconds).filter(|nanoseconds| *nanoseconds != 0)?;
        Timestamp::from_nanosecond(nanoseconds.into()).ok().map(Self)
    }

    /// As people read it: without fractions of a second.
    pub fn to_seconds(self) -> String {
        self.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc_with_their_digits() {
        let time = Time::parse("2026-11-23T18:00:50.519399622+01:00").expect("a time");
        assert_eq!(time.to_string(), "2026-11-23T17:00:50.519399622Z");
        assert_eq!(time.to_seconds(), "2026-11-23T17:00:50Z");
        assert_eq!(
            Time::from_nanoseconds(1_795_454_539_974_809_461).map(|time| time.to_string()).as_deref(),
            Some("2026-11-23T17:22:19.974809461Z")
        );
    }

    #[test]
    fn no_time_is_none() {
        for text in ["0001-01-01T00:00:00Z", "", "yesterday", "2026-13-01T00:00:00Z"] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
        assert_eq!(Time::from_nanoseconds(0), None);
        assert_eq!(Time::from_seconds(0), None);
        assert_eq!(Time::from_seconds(u64::MAX), None);
    }
}
