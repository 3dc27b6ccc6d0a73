"""A strict recogniser of Databricks' COPY INTO, over sqlglot's tokens: no parser that we know rejects what Databricks does."""

import sqlglot
from sqlglot.tokens import TokenType

FORMATS = {"CSV", "JSON", "AVRO", "ORC", "PARQUET", "TEXT", "BINARYFILE", "XML"}
COPY_OPTIONS = {"force", "mergeschema"}
FORMAT_OPTIONS = {
    "header", "inferschema", "sep", "quote", "escape", "multiline", "nullvalue", "emptyvalue", "encoding", "mode", "mergeschema",
}


class Copy:
    def __init__(self, sql):
        self.sql = sql
        self.tokens = [t for t in sqlglot.tokenize(sql, read="databricks") if t.token_type != TokenType.SEMICOLON]
        self.at = 0

    def word(self, ahead=0):
        at = self.at + ahead
        return self.tokens[at].text.upper() if at < len(self.tokens) else "<end>"

    def expect(self, *words):
        for word in words:
            if self.word() != word:
                raise SyntaxError(f"expected {word}, found {self.word()}")
            self.at += 1

    def maybe(self, *words):
        if all(self.word(i) == word for i, word in enumerate(words)):
            self.at += len(words)
            return True
        return False

    def string(self):
        if self.at >= len(self.tokens) or self.tokens[self.at].token_type != TokenType.STRING:
            raise SyntaxError(f"expected a string, found {self.word()}")
        self.at += 1
        return self.tokens[self.at - 1].text

    def name(self):
        never = (TokenType.STRING, TokenType.NUMBER, TokenType.L_PAREN, TokenType.R_PAREN, TokenType.EQ, TokenType.COMMA)
        if self.at >= len(self.tokens) or self.tokens[self.at].token_type in never:
            raise SyntaxError(f"expected a name, found {self.word()}")
        self.at += 1

    def listed(self, item):
        self.expect("(")
        count = 1
        item()
        while self.maybe(","):
            item()
            count += 1
        self.expect(")")
        return count

    def option(self, allowed):
        key = self.string()
        self.expect("=")
        self.string()
        if key.lower() not in allowed:
            raise SyntaxError(f"unknown option '{key}'")

    def source(self):
        place = self.string()
        if any(character in place for character in "*?[{"):
            raise SyntaxError("a glob in the path: use PATTERN or FILES")
        if self.maybe("WITH"):
            self.expect("(", "CREDENTIAL")
            self.name()
            self.expect(")")

    def select(self):
        start = self.at
        self.expect("SELECT")
        depth = 0
        while not (self.word() == "FROM" and depth == 0):
            if self.at >= len(self.tokens):
                raise SyntaxError("no FROM in the SELECT")
            depth += {"(": 1, ")": -1}.get(self.word(), 0)
            self.at += 1
        text = self.sql[self.tokens[start].start : self.tokens[self.at - 1].end + 1]
        sqlglot.parse_one(text, read="databricks")
        self.expect("FROM")
        self.source()
        self.expect(")")

    def statement(self):
        self.expect("COPY", "INTO")
        self.name()
        while self.maybe("."):
            self.name()
        self.expect("FROM")
        if self.maybe("("):
            self.select()
        else:
            self.source()
        self.expect("FILEFORMAT", "=")
        if self.word() not in FORMATS:
            raise SyntaxError("FILEFORMAT " + self.word())
        self.at += 1
        if self.maybe("VALIDATE"):
            self.maybe("ALL")
        if self.maybe("FILES", "="):
            if self.listed(self.string) > 1000:
                raise SyntaxError("more than 1000 FILES")
        elif self.maybe("PATTERN", "="):
            self.string()
        if self.maybe("FORMAT_OPTIONS"):
            self.listed(lambda: self.option(FORMAT_OPTIONS))
        if self.maybe("COPY_OPTIONS"):
            self.listed(lambda: self.option(COPY_OPTIONS))
        if self.at < len(self.tokens):
            raise SyntaxError("left over: " + self.word())


def copy_error(sql):
    """What is wrong with a COPY INTO, or None."""
    try:
        Copy(sql).statement()
    except (SyntaxError, sqlglot.errors.SqlglotError) as error:
        return str(error)
    return None
