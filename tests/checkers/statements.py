"""Scripts cut into statements, as the platforms' clients cut them."""

import re


def read(path):
    """The text; of a shell driver only what it sends."""
    text = path.read_text()
    if path.suffix == ".sh":
        text = "\n".join(re.findall(r"^ +cat <<'SQLEXTRACT_END_OF_STEP'\n(.*?)\nSQLEXTRACT_END_OF_STEP$", text, re.S | re.M))
    return text


def split(text, quotes, escapes):
    """Cuts at semicolons outside quotes and comments. `quotes` maps an opening quote to its closing one, `escapes` are the
    quotes in which a backslash takes the next character as it is."""
    parts, current, closing, escaping = [], [], None, False
    position = 0
    while position < len(text):
        character = text[position]
        if closing:
            current.append(character)
            if escaping and character == "\\":
                position += 1
                current.append(text[position])
            elif character == closing:
                closing = None
        elif text.startswith("--", position):
            end = text.find("\n", position)
            position = len(text) if end < 0 else end
            continue
        elif character in quotes:
            closing, escaping = quotes[character], character in escapes
            current.append(character)
        elif character == ";":
            parts.append("".join(current).strip())
            current = []
        else:
            current.append(character)
        position += 1
    parts.append("".join(current).strip())
    return [part for part in parts if part]


def snowflake(text):
    return split(text, {"'": "'", '"': '"'}, {"'"})


def databricks(text):
    return split(text, {"'": "'", "`": "`"}, {"'"})


def mssql(text):
    """Batches."""
    return [batch.strip() for batch in re.split(r"^GO$", text, flags=re.M) if batch.strip()]
