//! Declared types and the affinities that SQLite derives from them.

use sqlextract_model::{KeyKind, SourceColumn, TypeClass};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    Integer,
    Real,
    Text,
    Blob,
    Numeric,
}

impl Affinity {
    /// SQLite's five rules, in their order. In a STRICT table `ANY` keeps every value as it is.
    pub(super) fn of(declared: &str, strict: bool) -> Self {
        let declared = declared.to_ascii_uppercase();
        let holds = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
        if strict && declared == "ANY" {
            Self::Blob
        } else if holds(&["INT"]) {
            Self::Integer
        } else if holds(&["CHAR", "CLOB", "TEXT"]) {
            Self::Text
        } else if declared.is_empty() || holds(&["BLOB"]) {
            Self::Blob
        } else if holds(&["REAL", "FLOA", "DOUB"]) {
            Self::Real
        } else {
            Self::Numeric
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Text => "text",
            Self::Blob => "blob",
            Self::Numeric => "numeric",
        }
    }

    /// The kind of a key with this affinity, `None` where its values do not travel exactly.
    pub(super) fn key_kind(self) -> Option<KeyKind> {
        match self {
            Self::Integer => Some(KeyKind::Integer),
            Self::Text => Some(KeyKind::Text),
            Self::Blob => Some(KeyKind::Bytes),
            Self::Real | Self::Numeric => None,
        }
    }

    /// What a cell of such a column usually takes up in a row, for sharing out a file among its tables.
    pub(super) fn usual_bytes(self) -> u64 {
        match self {
            Self::Integer => 4,
            Self::Real => 8,
            Self::Numeric => 8,
            Self::Text => 20,
            Self::Blob => 64,
        }
    }
}

/// A column as planning sees it.
pub(super) fn source_column(name: String, declared: String, nullable: bool, strict: bool) -> SourceColumn {
    let affinity = Affinity::of(&declared, strict);
    let sizes = sizes(&declared);
    let is_text = affinity == Affinity::Text;
    SourceColumn {
        name,
        base: affinity.as_str().to_owned(),
        class: TypeClass::Scalar,
        nullable,
        precision: sizes.0.filter(|_| !is_text),
        scale: sizes.1.filter(|_| !is_text).and_then(|scale| i32::try_from(scale).ok()),
        length: sizes.0.filter(|_| is_text),
        unsigned: false,
        binary: false,
        declared,
    }
}

/// The numbers in a type's parentheses. SQLite ignores them; people mean something by them.
fn sizes(declared: &str) -> (Option<u32>, Option<u32>) {
    let inside = declared
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(inside, _)| inside);
    let mut numbers = inside
        .unwrap_or_default()
        .split(',')
        .map(|number| number.trim().parse().ok());
    (numbers.next().flatten(), numbers.next().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affinities_follow_the_rules_in_their_order() {
        let cases = [
            ("BIGINT UNSIGNED", Affinity::Integer),
            ("CHARINT", Affinity::Integer),
            ("FLOATING POINT", Affinity::Integer),
            ("varchar(20)", Affinity::Text),
            ("CLOB", Affinity::Text),
            ("", Affinity::Blob),
            ("TINYBLOB", Affinity::Blob),
            ("double precision", Affinity::Real),
            ("DECIMAL(10,2)", Affinity::Numeric),
            ("DATETIME", Affinity::Numeric),
            ("STRING", Affinity::Numeric),
            ("ANY", Affinity::Numeric),
        ];
        for (declared, affinity) in cases {
            assert_eq!(Affinity::of(declared, false), affinity, "{declared}");
        }
        assert_eq!(Affinity::of("any", true), Affinity::Blob);
    }

    #[test]
    fn the_numbers_of_a_declared_type_are_kept() {
        let decimal = source_column("c".into(), "DECIMAL( 10 , 2 )".into(), true, false);
        assert_eq!(
            (decimal.precision, decimal.scale, decimal.length),
            (Some(10), Some(2), None)
        );
        let text = source_column("c".into(), "varchar(20)".into(), true, false);
        assert_eq!((text.precision, text.scale, text.length), (None, None, Some(20)));
        let odd = source_column("c".into(), "DECIMAL(x,-1)".into(), true, false);
        assert_eq!((odd.precision, odd.scale), (None, None));
    }
}
