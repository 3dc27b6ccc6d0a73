//! Numbers, dates and timestamps in the databases' own text.

const DAY: f64 = 86_400.0;

/// Seconds since the year 0 for dates and timestamps, else the number.
pub(crate) fn place(text: &str) -> Option<f64> {
    moment(text)
        .or_else(|| text.parse().ok())
        .filter(|place: &f64| place.is_finite())
}

pub(crate) fn text(place: f64, like: &str) -> Option<String> {
    if moment(like).is_none() {
        return Some(format!("{place}"));
    }
    let (year, month, day) = civil((place / DAY).floor() as i64);
    if !(1..=9999).contains(&year) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    let second = place.rem_euclid(DAY) as u32;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    match like.get(10..11) {
        None => Some(date),
        // A zone stays as it was given, so that the guess means an instant wherever the bounds do.
        Some(between) => Some(format!(
            "{date}{between}{hour:02}:{minute:02}:{second:02}{}",
            zone(like)
        )),
    }
}

fn zone(like: &str) -> &str {
    let start = like
        .get(19..)
        .and_then(|rest| rest.find(['+', '-', 'Z']))
        .map(|at| at + 19);
    start.map_or("", |at| &like[at..])
}

fn moment(text: &str) -> Option<f64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    let dashes = text.get(4..5)? == "-" && text.get(7..8)? == "-";
    if !dashes || text.ends_with("BC") {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if year == 0 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let clock = match text.len() {
        10 => 0,
        _ => number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?,
    };
    Some(days(i64::from(year), month, day) as f64 * DAY + f64::from(clock))
}

/// Days since 0000-03-01 in the proleptic Gregorian calendar.
fn days(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (i64::from(month) + 9) % 12;
    year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 153 + 2) / 5
        + i64::from(day)
        - 1
}

fn civil(days: i64) -> (i64, i64, i64) {
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_timestamps_read_back_as_themselves() {
        for moment in [
            "2024-02-29",
            "0001-01-01",
            "9999-12-31",
            "1969-12-31 23:59:59",
            "2024-07-01T12:30:01Z",
        ] {
            assert_eq!(text(place(moment).unwrap(), moment).as_deref(), Some(moment));
        }
        let like = "2024-01-01 00:00:00.123+02";
        assert_eq!(
            text(place(like).unwrap() + 61.0, like).as_deref(),
            Some("2024-01-01 00:01:01+02")
        );
    }

    #[test]
    fn numbers_are_numbers_and_other_forms_are_refused() {
        assert_eq!(place("-12.50"), Some(-12.5));
        assert_eq!(text(0.25, "1"), Some("0.25".to_owned()));
        for odd in ["infinity", "NaN", "4713-01-01 BC", "1 day", "", "2024-13-01"] {
            assert_eq!(place(odd), None, "{odd}");
        }
    }
}
