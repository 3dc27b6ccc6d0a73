//! Row filters of requests: a small typed tree, never SQL text.

use serde::{Deserialize, Serialize};

/// Levels of a condition that are read; more is refused.
const DEEPEST: usize = 16;
/// Comparisons and values of a condition, all levels together.
const MOST_PARTS: usize = 2_000;

/// Which rows are taken: comparisons of columns with values, joined by `and`, `or` and `not`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Condition {
    And(AndCondition),
    Or(OrCondition),
    Not(NotCondition),
    Comparison(Comparison),
}

/// Every one of these holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AndCondition {
    pub and: Vec<Condition>,
}

/// At least one of these holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OrCondition {
    pub or: Vec<Condition>,
}

/// This does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NotCondition {
    pub not: Box<Condition>,
}

/// One column compared with a value, several values, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    pub column: String,
    pub op: Operator,
    /// One value; a list for `in`, `not in` and `between`; left out for `is null` and `is not null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Operand>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Operand {
    One(Value),
    Many(Vec<Value>),
}

/// A value as the database is to read it in the column's type. Dates, times and exact decimals are texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Value {
    Boolean(bool),
    Number(serde_json::Number),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Operator {
    #[serde(rename = "=")]
    Equal,
    #[serde(rename = "!=")]
    NotEqual,
    #[serde(rename = "<")]
    Less,
    #[serde(rename = "<=")]
    LessOrEqual,
    #[serde(rename = ">")]
    Greater,
    #[serde(rename = ">=")]
    GreaterOrEqual,
    #[serde(rename = "in")]
    In,
    #[serde(rename = "not in")]
    NotIn,
    #[serde(rename = "between")]
    Between,
    #[serde(rename = "is null")]
    IsNull,
    #[serde(rename = "is not null")]
    IsNotNull,
}

impl Condition {
    /// What is wrong with the tree's form: its size, its depth, an operator without its values.
    pub fn problem(&self) -> Option<String> {
        let mut parts = 0;
        self.problem_at(1, &mut parts)
    }

    fn problem_at(&self, depth: usize, parts: &mut usize) -> Option<String> {
        *parts += 1;
        if depth > DEEPEST {
            return Some(format!("it is nested more than {DEEPEST} levels deep"));
        }
        if *parts > MOST_PARTS {
            return Some(format!("it has more than {MOST_PARTS} comparisons and values"));
        }
        match self {
            Self::And(AndCondition { and: list }) | Self::Or(OrCondition { or: list }) => {
                if list.is_empty() {
                    return Some("`and` and `or` need at least one condition".to_owned());
                }
                list.iter().find_map(|inner| inner.problem_at(depth + 1, parts))
            }
            Self::Not(NotCondition { not }) => not.problem_at(depth + 1, parts),
            Self::Comparison(comparison) => comparison.problem(parts),
        }
    }
}

impl Comparison {
    fn problem(&self, parts: &mut usize) -> Option<String> {
        let wanted = match (self.op, &self.value) {
            (Operator::IsNull | Operator::IsNotNull, None) => return None,
            (Operator::IsNull | Operator::IsNotNull, Some(_)) => "takes no value",
            (Operator::In | Operator::NotIn, Some(Operand::Many(values))) if !values.is_empty() => {
                *parts += values.len();
                return values.iter().find_map(Value::problem);
            }
            (Operator::In | Operator::NotIn, _) => "takes a list of at least one value",
            (Operator::Between, Some(Operand::Many(values))) if values.len() == 2 => {
                return values.iter().find_map(Value::problem);
            }
            (Operator::Between, _) => "takes a list of two values",
            (_, Some(Operand::One(value))) => return value.problem(),
            (_, _) => "takes one value",
        };
        let op = serde_json::to_string(&self.op).unwrap_or_default();
        Some(format!("the operator {op} on {:?} {wanted}", self.column))
    }
}

impl Value {
    fn problem(&self) -> Option<String> {
        match self {
            Self::Text(text) if text.contains('\0') => Some("a value has a NUL character".to_owned()),
            Self::Text(_) | Self::Boolean(_) | Self::Number(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Condition {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_tree_reads_as_documented_and_writes_itself() {
        let text = r#"{"and":[{"column":"placed_on","op":">=","value":"2026-01-01"},{"not":{"column":"id","op":"in","value":[1,2.5,true]}},{"or":[{"column":"x","op":"is null"}]}]}"#;
        let condition = read(text);
        assert_eq!(condition.problem(), None);
        assert_eq!(serde_json::to_string(&condition).unwrap(), text);
    }

    #[test]
    fn an_operator_without_its_values_is_named() {
        let cases = [
            r#"{"column":"a","op":"="}"#,
            r#"{"column":"a","op":"in","value":[]}"#,
            r#"{"column":"a","op":"between","value":[1]}"#,
            r#"{"column":"a","op":"is null","value":1}"#,
            r#"{"column":"a","op":"<","value":[1]}"#,
            r#"{"and":[]}"#,
            r#"{"column":"a","op":"=","value":"\u0000"}"#,
        ];
        for case in cases {
            assert!(read(case).problem().is_some(), "{case}");
        }
        assert!(serde_json::from_str::<Condition>(r#"{"column":"a","op":"like","value":"x"}"#).is_err());
        assert!(serde_json::from_str::<Condition>(r#"{"and":[],"sql":"1=1"}"#).is_err());
    }

    #[test]
    fn a_tree_that_is_too_deep_or_too_large_is_refused() {
        let deep = format!(
            "{}{}{}",
            r#"{"not":"#.repeat(20),
            r#"{"column":"a","op":"is null"}"#,
            "}".repeat(20)
        );
        assert!(read(&deep).problem().unwrap().contains("nested"));
        let many = vec!["1"; 3000].join(",");
        let wide = format!(r#"{{"or":[{{"column":"a","op":"in","value":[{many}]}},{{"column":"a","op":"is null"}}]}}"#);
        assert!(read(&wide).problem().unwrap().contains("more than"));
    }
}
