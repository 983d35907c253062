//! [`parse_duration`]: a time as users write it, on the command line and in graph files alike.

use std::time::Duration;

/// Why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// The text has another form.
    #[error("a time is a number and its unit, such as 400ms, 1.5s, 2m, 1h30m or 1d, or a plain number of seconds")]
    Malformed,
    /// The time is longer than a `Duration` can hold.
    #[error("that is longer than any run can take")]
    TooLong,
}

/// Reads a time: `400ms`, `1.5s`, `2m`, `1h30m`, `1d`, or a plain number of seconds such as `90` or `2.5`.
///
/// ```
/// use std::time::Duration;
/// use pushflow_model::parse_duration;
///
/// assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
/// assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
/// ```
///
/// # Errors
/// When the text has another form, a negative number included, or the time is too long.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let unit_at = text.find(|letter: char| letter != '.' && !letter.is_ascii_digit());
    let Some(unit_at) = unit_at else { return seconds(text) };
    match humantime::parse_duration(text) {
        Ok(time) => Ok(time),
        Err(humantime::DurationError::NumberOverflow) => Err(DurationError::TooLong),
        Err(_) => fraction(&text[..unit_at], &text[unit_at..]),
    }
}

fn seconds(text: &str) -> Result<Duration, DurationError> {
    let number: f64 = text.parse().map_err(|_| DurationError::Malformed)?;
    Duration::try_from_secs_f64(number).map_err(|_| DurationError::TooLong)
}

/// One number and one unit, where the number begins or ends with its point (`.5s`), which humantime refuses.
fn fraction(number: &str, unit: &str) -> Result<Duration, DurationError> {
    let number: f64 = number.parse().map_err(|_| DurationError::Malformed)?;
    let unit = humantime::parse_duration(&format!("1{unit}")).map_err(|_| DurationError::Malformed)?;
    Duration::try_from_secs_f64(number * unit.as_secs_f64()).map_err(|_| DurationError::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> u128 {
        parse_duration(text).unwrap_or_else(|error| panic!("{text}: {error}")).as_millis()
    }

    #[test]
    fn a_time_is_numbers_with_units_or_seconds() {
        let times = [("90", 90_000), ("90s", 90_000), ("1h30m", 5_400_000), ("1h 30m", 5_400_000), ("1d", 86_400_000)];
        times.iter().for_each(|&(text, expected)| assert_eq!(millis(text), expected, "{text}"));
    }

    /// What was accepted before humantime read it.
    #[test]
    fn one_number_with_a_fraction_and_a_unit_is_a_time() {
        let times = [("400ms", 400), ("1.5s", 1500), ("2m", 120_000), ("1h", 3_600_000), ("0.5m", 30_000), ("0s", 0)];
        times.iter().for_each(|&(text, expected)| assert_eq!(millis(text), expected, "{text}"));
        let points = [(".5s", 500), ("2.s", 2000), ("1.5h", 5_400_000), ("2.5", 2500), (".5", 500), ("0", 0)];
        points.iter().for_each(|&(text, expected)| assert_eq!(millis(text), expected, "{text}"));
    }

    #[test]
    fn what_is_no_time_is_refused_with_examples() {
        for wrong in ["", "s", "-1s", "-1", "1.2.3s", "1.2.3", "nan", "inf", "5 parsecs", "1h30", "s5", "."] {
            let error = parse_duration(wrong).expect_err(wrong);
            assert_eq!(error, DurationError::Malformed, "{wrong}");
        }
        let message = DurationError::Malformed.to_string();
        assert_eq!(
            message,
            "a time is a number and its unit, such as 400ms, 1.5s, 2m, 1h30m or 1d, or a plain number of seconds"
        );
        for long in ["99999999999999999999999h", "99999999999999999999999", "9999999999999999999999.5h"] {
            assert_eq!(parse_duration(long), Err(DurationError::TooLong), "{long}");
        }
    }
}
