//! Durations and sizes as people write them: "500ms", "2s", "15m", "5m..15m"; 1.5 GiB.

use std::time::Duration;

/// Parses "500ms", "2s", "1h 5m". The error is the text itself.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.trim().parse().map_err(|_| text.to_string())?;
    Duration::try_from(span).map_err(|_| text.to_string())
}

/// Parses an estimate: one duration, or a range "5m..15m".
pub fn parse_estimate(text: &str) -> Result<(Duration, Duration), String> {
    match text.split_once("..") {
        Some((low, high)) => {
            let (low, high) = (parse_span(low)?, parse_span(high)?);
            if low <= high { Ok((low, high)) } else { Err(text.to_string()) }
        }
        None => parse_span(text).map(|span| (span, span)),
    }
}

/// A duration for people: "420ms", "3.2s", "4m 05s", "1h 02m".
pub fn format_span(span: Duration) -> String {
    let millis = span.as_millis();
    let seconds = span.as_secs();
    if millis < 1000 {
        format!("{millis}ms")
    } else if seconds < 60 {
        format!("{:.1}s", (millis as f64 / 100.0).floor() / 10.0)
    } else if seconds < 3600 {
        format!("{}m {:02}s", seconds / 60, seconds % 60)
    } else {
        format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60)
    }
}

/// Bytes for people, in powers of 1024: "512 B", "38.2 MiB".
pub fn format_bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        assert_eq!(parse_span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_span("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(parse_span("1h 5m"), Ok(Duration::from_secs(3900)));
        assert!(parse_span("30").is_err());
        assert!(parse_span("-2s").is_err());
        assert_eq!(
            parse_estimate("5m..15m"),
            Ok((Duration::from_secs(300), Duration::from_secs(900)))
        );
        assert!(parse_estimate("15m..5m").is_err());
    }

    #[test]
    fn spans_and_sizes_are_written_for_people() {
        assert_eq!(format_span(Duration::from_millis(420)), "420ms");
        assert_eq!(format_span(Duration::from_millis(3_290)), "3.2s");
        assert_eq!(format_span(Duration::from_secs(245)), "4m 05s");
        assert_eq!(format_bytes(512), "512 B");
        assert_eq!(format_bytes(40_056_000), "38.2 MiB");
    }
}
