"""What is sent to the server, and how its answers are judged: see judge.py. Schemathesis loads this file."""

import atexit
from collections import Counter, defaultdict
from pathlib import Path
from zlib import crc32

import graphql
import schemathesis
from graphql import ArgumentNode, FieldNode, IntValueNode, NameNode, NullValueNode, SelectionSetNode
from judge import EXECUTED, SCHEMA, judge

outcomes = defaultdict(Counter)
seen = set()


class Useful(graphql.Visitor):
    """Asks for a small page, for one thing where only one may be named, and for all that an object holds."""

    def __init__(self, info):
        super().__init__()
        self.info = info

    def enter_field(self, node, *_):
        names = {argument.name.value for argument in node.arguments}
        if not names & {"first", "last"}:
            return None
        first = ArgumentNode(name=NameNode(value="first"), value=IntValueNode(value="3"))
        others = [each for each in node.arguments if each.name.value not in ("first", "last", "after", "before")]
        return copy(node, arguments=(*others, first))

    def enter_object_value(self, node, *_):
        kind = graphql.get_named_type(self.info.get_input_type())
        given = [field for field in node.fields if not isinstance(field.value, NullValueNode)]
        if getattr(kind, "is_one_of", False) and given:
            return copy(node, fields=(given[0],))
        return None

    def leave_selection_set(self, node, *_):
        kind = self.info.get_parent_type()
        if not isinstance(kind, graphql.GraphQLObjectType) or kind in (SCHEMA.query_type, SCHEMA.mutation_type):
            return None
        taken = {(each.alias or each.name).value for each in node.selections if isinstance(each, FieldNode)}
        more = [field for field in fields_of(kind, 2) if field.name.value not in taken]
        return SelectionSetNode(selections=(*node.selections, *more))


def fields_of(kind, depth):
    """The leaves of an object, and so many objects below each other with theirs."""
    for name, field in kind.fields.items():
        below = graphql.get_named_type(field.type)
        if any(graphql.is_required_argument(each) for each in field.args.values()):
            continue
        if graphql.is_leaf_type(below):
            yield FieldNode(name=NameNode(value=name))
        elif depth > 0 and graphql.is_object_type(below):
            yield FieldNode(
                name=NameNode(value=name), selection_set=SelectionSetNode(selections=tuple(fields_of(below, depth - 1)))
            )


def copy(node, **changes):
    return type(node)(**{**{key: getattr(node, key) for key in node.keys}, **changes})


@schemathesis.hook
def map_body(ctx, body):
    """By chance alone hardly any document has a page and asks for its fields: three of four are helped. Those that are wrong
    stay so, unless it is for what the generator doesn't know: that of some members there must be one.
    """
    wrong = [error for error in graphql.validate(SCHEMA, body) if "OneOf" not in error.message]
    if wrong or crc32(graphql.print_ast(body).encode()) % 4 == 0:
        return body
    info = graphql.TypeInfo(SCHEMA)
    useful = graphql.visit(body, graphql.TypeInfoVisitor(info, Useful(info)))
    return body if graphql.validate(SCHEMA, useful) else useful


@schemathesis.check
def answered_as_promised(ctx, response, case):
    assert response.status_code < 500, f"status {response.status_code}"
    outcome = judge(case.body, response.text, seen)
    meant_to_be_wrong = case.meta.generation.mode.is_negative
    outcomes[case.operation.label][f"meant to be {'wrong' if meant_to_be_wrong else 'right'}, {outcome}"] += 1
    assert outcome != EXECUTED or not meant_to_be_wrong, "meant to be wrong, and executed"


@atexit.register
def tell():
    total = sum(outcomes.values(), Counter())
    for outcome, number in sorted(total.items()):
        print(f"judged: {number} {outcome}")
    fields = {f"{kind}.{name}" for kind in SCHEMA.type_map.values() for name in own_fields(kind)}
    print(f"judged: values of {len(seen)} of the {len(fields)} fields of the schema")
    never = [label for label, counted in sorted(outcomes.items()) if not any(EXECUTED in outcome for outcome in counted)]
    # Whoever has started the run looks into it.
    Path("never-executed").write_text("\n".join(never))


def own_fields(kind):
    is_ours = isinstance(kind, graphql.GraphQLObjectType) and not kind.name.startswith("__")
    return kind.fields if is_ours else []
