"""Whether an answer is what the schema promises for a document. Knows the repository's schema.graphql and nothing of how the
document was made or sent; what is valid, graphql-core says, which shares no line with the server.
"""

import json
import math
import re
from datetime import date, datetime
from pathlib import Path

import graphql
from graphql.execution.collect_fields import FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues

SCHEMA = graphql.build_schema((Path(__file__).parents[3] / "schema.graphql").read_text())

INVALID = "refused as invalid"
TOO_COMPLEX = "refused as too complex"
BAD_VALUES = "refused for its values"
EXECUTED = "executed with data"

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
DECIMAL = re.compile(r"-?\d+(\.\d+)?")


def parses(read, text):
    try:
        read(text)
    except ValueError:
        return False
    return True


# What each scalar looks like in JSON. A truth value is no number here.
SCALARS = {
    "Boolean": lambda value: isinstance(value, bool),
    "Date": lambda value: isinstance(value, str) and len(value) == 10 and parses(date.fromisoformat, value),
    "DateTime": lambda value: isinstance(value, str)
    and INSTANT.fullmatch(value) is not None
    and parses(datetime.fromisoformat, value),
    "Decimal": lambda value: isinstance(value, str) and DECIMAL.fullmatch(value) is not None,
    "Float": lambda value: type(value) in (int, float) and math.isfinite(value),
    "ID": lambda value: isinstance(value, str),
    "Int": lambda value: type(value) is int and -(2**31) <= value < 2**31,
    "String": lambda value: isinstance(value, str),
}


def judge(document, text, seen=None):
    """What became of a document, by the text of its answer. AssertionError when that isn't what should have.

    The schema's fields that had a value in the answer are added to `seen`.
    """
    node = graphql.parse(document)
    wrong = graphql.validate(SCHEMA, node)
    answer = read(text)
    assert isinstance(answer, dict) and set(answer) <= {"data", "errors", "extensions"}, "not the form of an answer"
    errors = answer.get("errors", [])
    assert errors != [] or "errors" not in answer, "errors that are none"
    codes = {check_error(error) for error in errors}

    if wrong:
        assert "data" not in answer and codes == {"GRAPHQL_VALIDATION_FAILED"}, f"must be refused: {wrong[0].message}"
        return INVALID
    if "data" not in answer:
        assert codes == {"QUERY_TOO_COMPLEX"}, f"a valid document was refused: {codes}"
        return TOO_COMPLEX
    # Whoever may do everything has himself to blame only for the values that he sent.
    assert codes <= {"BAD_USER_INPUT"}, f"a valid document failed: {codes}"
    data = answer["data"]
    for error in errors:
        check_path(error, data)
    if data is None:
        assert errors, "no data, and no error that says why"
        return BAD_VALUES
    check_data(node, data, set() if seen is None else seen)
    return EXECUTED


def read(text):
    """JSON as it is defined: names are there once, and NaN is no number."""

    def members(pairs):
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), f"a name is there twice: {names}"
        return dict(pairs)

    def no_number(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, object_pairs_hook=members, parse_constant=no_number)


def check_error(error):
    assert isinstance(error.get("message"), str) and error["message"], f"no message: {error}"
    extensions = error.get("extensions", {})
    assert extensions.get("requestId"), f"of which request? {error}"
    assert isinstance(extensions.get("code"), str), f"no code: {error}"
    return extensions["code"]


def check_path(error, data):
    """A field that failed is null, or whatever is around it."""
    path = error.get("path")
    assert path, f"which field has failed? {error}"
    for step in path:
        if data is None:
            return
        data = data[step]
    assert data is None, f"a failed field has a value: {error}"


def check_data(document, data, seen):
    operation = graphql.get_operation_ast(document)
    fragments = {
        part.name.value: FragmentDetails(part)
        for part in document.definitions
        if isinstance(part, graphql.FragmentDefinitionNode)
    }
    Walk(operation, fragments, seen).root(data)


class Walk:
    """Goes through an answer by what was asked."""

    def __init__(self, operation, fragments, seen):
        self.operation, self.fragments, self.seen = operation, fragments, seen
        self.variables = VariableValues({}, {})

    def root(self, data):
        kind = SCHEMA.get_root_type(self.operation.operation)
        asked = collect_fields(SCHEMA, self.fragments, self.variables, kind, self.operation)
        self.object(kind, asked.grouped_field_set, data, "data")

    def object(self, kind, asked, data, at):
        assert isinstance(data, dict), f"{at}: no object of {kind}"
        assert list(data) == list(asked), f"{at}: {list(data)}, asked for {list(asked)}"
        for key, details in asked.items():
            name, here = details[0].node.name.value, f"{at}.{key}"
            if name == "__typename":
                assert data[key] == kind.name, f"{here}: {data[key]} is not {kind}"
                continue
            self.value(kind.fields[name].type, details, data[key], here)
            if data[key] is not None:
                self.seen.add(f"{kind}.{name}")

    def value(self, kind, details, data, at):
        if graphql.is_non_null_type(kind):
            assert data is not None, f"{at}: null is not {kind}"
            return self.value(kind.of_type, details, data, at)
        if data is None:
            return None
        if graphql.is_list_type(kind):
            assert isinstance(data, list), f"{at}: {data!r} is not {kind}"
            for index, item in enumerate(data):
                self.value(kind.of_type, details, item, f"{at}.{index}")
        elif graphql.is_enum_type(kind):
            assert isinstance(data, str) and data in kind.values, f"{at}: {data!r} is not {kind}"
        elif graphql.is_scalar_type(kind):
            assert SCALARS[kind.name](data), f"{at}: {data!r} is not {kind}"
        elif graphql.is_abstract_type(kind):
            self.one_of(SCHEMA.get_possible_types(kind), details, data, at)
        else:
            self.below(kind, details, data, at)
        return None

    def below(self, kind, details, data, at):
        asked = collect_subfields(SCHEMA, self.fragments, self.variables, self.operation, kind, details)
        self.object(kind, asked.grouped_field_set, data, at)

    def one_of(self, kinds, details, data, at):
        """An object that needn't say what it is: it must be one of these."""
        wrong = []
        for kind in kinds:
            try:
                return self.below(kind, details, data, at)
            except AssertionError as error:
                wrong.append(str(error))
        raise AssertionError(f"{at}: {data!r} is none of them: {wrong}")

