//! A request's typed filter as a condition in the source's SQL: names quoted, values as literals, nothing passed on.

use sqlextract_model::{
    AndCondition, Code, Comparison, Condition, Dialect, Failure, NotCondition, Operand, Operator, OrCondition, Result,
    TableFacts, Value,
};

/// Renders the condition for a table; refuses a column that the table does not have.
pub fn condition_sql(condition: &Condition, table: &TableFacts, dialect: Dialect) -> Result<String> {
    if let Some(problem) = condition.problem() {
        return Err(Failure::new(
            Code::SourceQueryInvalid,
            format!("the filter cannot be used: {problem}"),
        )
        .table(&table.name));
    }
    Writer { table, dialect }.condition(condition)
}

struct Writer<'a> {
    table: &'a TableFacts,
    dialect: Dialect,
}

impl Writer<'_> {
    fn condition(&self, condition: &Condition) -> Result<String> {
        match condition {
            Condition::And(AndCondition { and }) => self.joined(and, " AND "),
            Condition::Or(OrCondition { or }) => self.joined(or, " OR "),
            Condition::Not(NotCondition { not }) => Ok(format!("(NOT {})", self.condition(not)?)),
            Condition::Comparison(comparison) => self.comparison(comparison),
        }
    }

    fn joined(&self, list: &[Condition], word: &str) -> Result<String> {
        let parts = list
            .iter()
            .map(|inner| self.condition(inner))
            .collect::<Result<Vec<_>>>()?;
        Ok(format!("({})", parts.join(word)))
    }

    fn comparison(&self, comparison: &Comparison) -> Result<String> {
        let column = self.column(&comparison.column)?;
        let sign = match comparison.op {
            Operator::Equal => "=",
            Operator::NotEqual => "<>",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::In => "IN",
            Operator::NotIn => "NOT IN",
            Operator::Between => "BETWEEN",
            Operator::IsNull => return Ok(format!("({column} IS NULL)")),
            Operator::IsNotNull => return Ok(format!("({column} IS NOT NULL)")),
        };
        let values: Vec<String> = match &comparison.value {
            Some(Operand::One(value)) => vec![self.literal(value)],
            Some(Operand::Many(values)) => values.iter().map(|value| self.literal(value)).collect(),
            None => Vec::new(),
        };
        Ok(match comparison.op {
            Operator::In | Operator::NotIn => format!("({column} {sign} ({}))", values.join(", ")),
            _ => format!("({column} {sign} {})", values.join(" AND ")),
        })
    }

    /// A lone name that does not resolve is a text in SQLite, so that the table stands before it there.
    fn column(&self, name: &str) -> Result<String> {
        if !self.table.columns.iter().any(|column| column.name == name) {
            let text = format!("the filter names column {name:?}, which the table does not have");
            return Err(Failure::new(Code::SourceObjectMissing, text)
                .table(&self.table.name)
                .column(name));
        }
        Ok(match self.dialect {
            Dialect::Postgres => double_quoted(name),
            Dialect::Mysql => format!("`{}`", name.replace('`', "``")),
            Dialect::Sqlite => format!("{}.{}", double_quoted(&self.table.name.name), double_quoted(name)),
        })
    }

    /// Texts have no type, so that the database takes them in the type of the column that they are compared with.
    fn literal(&self, value: &Value) -> String {
        match (value, self.dialect) {
            (Value::Boolean(true), Dialect::Sqlite) => "1".to_owned(),
            (Value::Boolean(false), Dialect::Sqlite) => "0".to_owned(),
            (Value::Boolean(true), _) => "TRUE".to_owned(),
            (Value::Boolean(false), _) => "FALSE".to_owned(),
            (Value::Number(number), _) => format!("({number})"),
            (Value::Text(text), Dialect::Postgres) if text.contains('\\') => {
                format!("E'{}'", text.replace('\'', "''").replace('\\', "\\\\"))
            }
            (Value::Text(text), Dialect::Postgres | Dialect::Sqlite) => format!("'{}'", text.replace('\'', "''")),
            // What a backslash means depends on the session; hexadecimal digits mean the same everywhere.
            (Value::Text(text), Dialect::Mysql) if text.is_empty() => "''".to_owned(),
            (Value::Text(text), Dialect::Mysql) => {
                let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
                format!("_utf8mb4 X'{digits}'")
            }
        }
    }
}

fn double_quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
