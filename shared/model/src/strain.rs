//! Strain: what others feel of a load, measured against what is tolerated.

/// One signal of strain, or the strongest of several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strain {
    /// 1 is what is tolerated. Never load that our own sessions cause.
    pub level: f64,
    /// What was measured, for people.
    pub signal: &'static str,
}

impl Strain {
    /// An amount of something, of which so much is tolerated, in the same unit.
    pub fn of(signal: &'static str, amount: f64, tolerated: f64) -> Self {
        Self {
            level: amount / tolerated,
            signal,
        }
    }

    /// The strongest. A level that is no number says nothing.
    pub fn strongest(strains: impl IntoIterator<Item = Self>) -> Option<Self> {
        let known = strains.into_iter().filter(|strain| !strain.level.is_nan());
        known.max_by(|a, b| a.level.total_cmp(&b.level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_signal_is_told() {
        let lag = Strain::of("lag", 5.0, 10.0);
        let waits = Strain::of("waits", 3.0, 2.0);
        assert_eq!((lag.level, waits.level), (0.5, 1.5));
        assert_eq!(Strain::strongest([lag, waits]), Some(waits));
        assert_eq!(Strain::strongest([Strain::of("none", 0.0, 0.0), lag]), Some(lag));
        assert_eq!(Strain::strongest([]), None);
    }
}
