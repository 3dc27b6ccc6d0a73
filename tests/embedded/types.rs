//! Every type with its extremes, cell by cell.

/// Texts that formats and shells stumble over, as an array in PostgreSQL's SQL.
pub(crate) const AWKWARD: &str = r#"ARRAY['', ' ', 'NULL', '\N', '\.', E'a\n\\.\nb', E'\n', E'\r\n', E'\t', '"', '""', '"quoted"', 'it''s', 'a,b',
  E'\\', E'back\\slash', E'ends with \\', 'größe', '😀', '𝄞 and 𠜎', E'\u200b', E'\u2028', E'\x01\x1b', '#', ';', '|', '-', '=1+1',
  'true', '0001', '1e5', '{}', '{"a": "\"", "b": null}', '%s', '$1', ':name', repeat('x', 100000), repeat('😀', 3000)]"#;
