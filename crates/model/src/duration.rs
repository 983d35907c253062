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
    if text.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit()) {
        return times(text, Duration::from_secs(1));
    }
    let (mut sum, mut rest) = (Duration::ZERO, text);
    while !rest.is_empty() {
        let (number, after) = split_before(rest, |letter| letter != '.' && !letter.is_ascii_digit());
        let (unit, after) = split_before(after.trim_start(), |letter| !letter.is_alphabetic());
        sum = sum.checked_add(in_unit(number, unit)?).ok_or(DurationError::TooLong)?;
        rest = after.trim_start();
    }
    Ok(sum)
}

fn split_before(text: &str, is_end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(is_end).unwrap_or(text.len()))
}

/// One number and its unit, by a name that humantime knows. The number is read here, since humantime refuses a fraction
/// that is no whole number of nanoseconds, such as `1.2345h`, and a number that begins or ends with its point.
fn in_unit(number: &str, unit: &str) -> Result<Duration, DurationError> {
    let unit = humantime::parse_duration(&format!("1{unit}")).map_err(|_| DurationError::Malformed)?;
    times(number, unit)
}

fn times(number: &str, unit: Duration) -> Result<Duration, DurationError> {
    let number: f64 = number.parse().map_err(|_| DurationError::Malformed)?;
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
        let sums = [("2.h30m", 9_000_000), (".5h30m", 3_600_000), ("1h 30m", 5_400_000), ("5 s", 5000)];
        sums.iter().for_each(|&(text, expected)| assert_eq!(millis(text), expected, "{text}"));
        let inexact = [("0.001h", 3600), ("1.2345h", 4_444_200), ("0.3333h", 1_199_880), ("1.2345678ms", 1)];
        inexact.iter().for_each(|&(text, expected)| assert_eq!(millis(text), expected, "{text}"));
    }

    #[test]
    fn what_is_no_time_is_refused_with_examples() {
        for wrong in [
            "",
            "s",
            "-1s",
            "-1",
            "1.2.3s",
            "1.2.3",
            "nan",
            "inf",
            "5 parsecs",
            "1h30",
            "s5",
            ".",
            "1 0s",
            "1h,30m",
            " ",
        ] {
            let error = parse_duration(wrong).expect_err(wrong);
            assert_eq!(error, DurationError::Malformed, "{wrong}");
        }
        let message = DurationError::Malformed.to_string();
        assert_eq!(
            message,
            "a time is a number and its unit, such as 400ms, 1.5s, 2m, 1h30m or 1d, or a plain number of seconds"
        );
        for long in [
            "99999999999999999999999h",
            "99999999999999999999999",
            "9999999999999999999999.5h",
            "18446744073709549568s 18446744073709549568s",
        ] {
            assert_eq!(parse_duration(long), Err(DurationError::TooLong), "{long}");
        }
    }
}
