//! Dates and times: PostgreSQL counts from 2000, Arrow from 1970.

use super::misfit::Misfit;

const DAYS_TO_2000: i32 = 10_957;
const MICROSECONDS_TO_2000: i64 = 946_684_800_000_000;
const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// Days since 1970.
pub(crate) fn date(bytes: [u8; 4]) -> Result<i32, Misfit> {
    match i32::from_be_bytes(bytes) {
        i32::MAX | i32::MIN => Err(Misfit::Value("the date is infinite")),
        days => days
            .checked_add(DAYS_TO_2000)
            .ok_or(Misfit::Value("the date is beyond the chunk's range")),
    }
}

/// Microseconds since 1970, in UTC or without a zone.
pub(crate) fn timestamp(bytes: [u8; 8]) -> Result<i64, Misfit> {
    match i64::from_be_bytes(bytes) {
        i64::MAX | i64::MIN => Err(Misfit::Value("the timestamp is infinite")),
        microseconds => microseconds
            .checked_add(MICROSECONDS_TO_2000)
            .ok_or(Misfit::Value("the timestamp is beyond the chunk's range")),
    }
}

pub(crate) fn nanoseconds(microseconds: i64) -> Result<i64, Misfit> {
    microseconds
        .checked_mul(1000)
        .ok_or(Misfit::Value("the timestamp is beyond the range of nanoseconds"))
}

/// Microseconds since midnight.
pub(crate) fn time(bytes: [u8; 8]) -> Result<i64, Misfit> {
    match i64::from_be_bytes(bytes) {
        MICROSECONDS_PER_DAY => Err(Misfit::Value("the time is 24:00:00")),
        microseconds @ 0..MICROSECONDS_PER_DAY => Ok(microseconds),
        _ => Err(Misfit::Malformed("a time is outside its day")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_count_from_1970() {
        assert_eq!(date(0i32.to_be_bytes()), Ok(10_957));
        assert_eq!(date((-10_957i32).to_be_bytes()), Ok(0));
        // 4713-11-24 BC and 5874897-12-31, the server's first and last.
        assert_eq!(date((-2_451_545i32).to_be_bytes()), Ok(-2_440_588));
        assert_eq!(date(2_145_031_948i32.to_be_bytes()), Ok(2_145_042_905));
        for infinite in [i32::MAX, i32::MIN] {
            assert_eq!(date(infinite.to_be_bytes()), Err(Misfit::Value("the date is infinite")));
        }
    }

    #[test]
    fn timestamps_beyond_the_chunk_are_refused() {
        assert_eq!(timestamp(0i64.to_be_bytes()), Ok(MICROSECONDS_TO_2000));
        // 294276-12-31 23:59:59.999999 is the server's last.
        assert!(matches!(
            timestamp(9_223_371_331_199_999_999i64.to_be_bytes()),
            Err(Misfit::Value(_))
        ));
        assert!(matches!(timestamp(i64::MAX.to_be_bytes()), Err(Misfit::Value(_))));
        assert!(matches!(nanoseconds(i64::MAX / 999), Err(Misfit::Value(_))));
    }

    #[test]
    fn the_end_of_the_day_is_no_time_of_day() {
        assert_eq!(
            time((MICROSECONDS_PER_DAY - 1).to_be_bytes()),
            Ok(MICROSECONDS_PER_DAY - 1)
        );
        assert!(matches!(
            time(MICROSECONDS_PER_DAY.to_be_bytes()),
            Err(Misfit::Value(_))
        ));
        assert!(matches!(time((-1i64).to_be_bytes()), Err(Misfit::Malformed(_))));
    }
}
