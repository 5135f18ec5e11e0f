"""That the judge can say no: answers that are right, and each with one thing wrong. python -m unittest test_judge"""

import json
import unittest

from judge import BAD_VALUES, EXECUTED, INVALID, SCHEMA, SCALARS, TOO_COMPLEX, judge

DOCUMENT = """{
  page: clients(first: 1) {
    totalCount
    nodes { id state birthDate createdAt addresses { line1 latitude __typename } }
    pageInfo { hasNextPage }
  }
  node(id: "x") { id ... on Client { clientId } ... on Address { city } }
  nobody: client(by: { clientId: "a" }) { clientId }
}"""
CLIENT = {
    "id": "x",
    "state": "ACTIVE",
    "birthDate": "1990-04-17",
    "createdAt": "2026-11-22T15:06:00.5Z",
    "addresses": [{"line1": None, "latitude": 1, "__typename": "Address"}],
}
RIGHT = {
    "page": {"totalCount": 1, "nodes": [CLIENT], "pageInfo": {"hasNextPage": False}},
    "node": {"id": "x", "clientId": "c"},
    "nobody": None,
}


def error(code, **more):
    return {"message": "No.", "extensions": {"code": code, "requestId": "1"}, **more}


def changed(path, value):
    """The right data, with something else at one place."""
    data = json.loads(json.dumps(RIGHT))
    *way, last = path
    place = data
    for step in way:
        place = place[step]
    place[last] = value
    return data


class Judge(unittest.TestCase):
    def refuses(self, document, answer, why):
        text = answer if isinstance(answer, str) else json.dumps(answer)
        with self.assertRaisesRegex(AssertionError, why, msg=text):
            judge(document, text)

    def test_what_is_right_passes(self):
        seen = set()
        self.assertEqual(judge(DOCUMENT, json.dumps({"data": RIGHT}), seen), EXECUTED)
        self.assertIn("Address.latitude", seen)
        self.assertNotIn("Address.line1", seen)
        invalid = {"errors": [error("GRAPHQL_VALIDATION_FAILED")]}
        self.assertEqual(judge("{ nothing }", json.dumps(invalid)), INVALID)
        self.assertEqual(judge(DOCUMENT, json.dumps({"errors": [error("QUERY_TOO_COMPLEX")]})), TOO_COMPLEX)
        failed = {"data": None, "errors": [error("BAD_USER_INPUT", path=["page"])]}
        self.assertEqual(judge(DOCUMENT, json.dumps(failed)), BAD_VALUES)

    def test_one_thing_wrong_in_the_data_is_seen(self):
        client = ["page", "nodes", 0]
        for path, value, why in [
            (["page", "totalCount"], "1", "is not Int"),
            (["page", "totalCount"], 1.0, "is not Int"),
            (["page", "totalCount"], True, "is not Int"),
            (["page", "totalCount"], 2**31, "is not Int"),
            (["page", "totalCount"], None, "null is not Int!"),
            (["page", "pageInfo"], None, "null is not PageInfo!"),
            (["page", "pageInfo", "hasNextPage"], 0, "is not Boolean"),
            (["page", "nodes"], CLIENT, "is not .Client"),
            (["page", "nodes", 0], None, "null is not Client!"),
            ([*client, "id"], 7, "is not ID"),
            ([*client, "state"], "ALIVE", "is not ClientState"),
            ([*client, "state"], "active", "is not ClientState"),
            ([*client, "state"], ["ACTIVE"], "is not ClientState"),
            ([*client, "birthDate"], "1990-02-30", "is not Date"),
            ([*client, "birthDate"], "19900417", "is not Date"),
            ([*client, "createdAt"], "2026-11-22T15:06:00", "is not DateTime"),
            ([*client, "createdAt"], "2026-11-22T15:06:00+01:00", "is not DateTime"),
            ([*client, "addresses", 0, "line1"], 1, "is not String"),
            ([*client, "addresses", 0, "line1"], {}, "is not String"),
            ([*client, "addresses", 0, "latitude"], "1", "is not Float"),
            ([*client, "addresses", 0, "__typename"], "Client", "Client is not Address"),
            ([*client, "more"], 1, "asked for"),
            (["node", "clientId"], 7, "none of them"),
            (["node", "city"], "Porto", "none of them"),
            (["nobody"], {}, "asked for"),
            (["nobody"], "nobody", "no object"),
        ]:
            with self.subTest(path=path, value=value):
                self.refuses(DOCUMENT, {"data": changed(path, value)}, why)

    def test_names_are_those_asked_for_in_their_order_and_once(self):
        self.refuses("{ a: __typename b: __typename }", '{"data":{"b":"Query","a":"Query"}}', "asked for")
        self.refuses("{ a: __typename b: __typename }", '{"data":{"a":"Query"}}', "asked for")
        self.refuses("{ a: __typename }", '{"data":{"a":"Query","a":"Query"}}', "twice")
        self.refuses("{ a: __typename @skip(if: true) b: __typename }", '{"data":{"a":"Query","b":"Query"}}', "asked for")
        self.refuses(DOCUMENT, json.dumps({"data": changed(["page", "nodes", 0, "addresses", 0, "latitude"], 1e999)}), "JSON")

    def test_whoever_refuses_everything_or_nothing_is_found_out(self):
        for code in ["GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "BAD_USER_INPUT", "FORBIDDEN", "INTERNAL"]:
            self.refuses(DOCUMENT, {"errors": [error(code)]}, "a valid document was refused")
        for code in ["FORBIDDEN", "INTERNAL", "UNAVAILABLE", "GRAPHQL_VALIDATION_FAILED"]:
            self.refuses(DOCUMENT, {"data": None, "errors": [error(code, path=["page"])]}, "a valid document failed")
        for answer in [{"data": {}}, {"data": None, "errors": [error("GRAPHQL_VALIDATION_FAILED")]}]:
            self.refuses("{ nothing }", answer, "must be refused")
        self.refuses("{ nothing }", {"errors": [error("BAD_USER_INPUT")]}, "must be refused")
        self.refuses(DOCUMENT, {"data": None}, "no error")

    def test_an_error_says_what_where_and_of_which_request(self):
        for wrong, why in [
            ({"path": ["page"]}, "no message"),
            (error("BAD_USER_INPUT"), "which field"),
            (error("BAD_USER_INPUT", path=["page"]), "a failed field has a value"),
            ({"message": "No.", "path": ["page"], "extensions": {"code": "BAD_USER_INPUT"}}, "which request"),
            ({"message": "No.", "path": ["page"], "extensions": {"requestId": "1"}}, "no code"),
        ]:
            self.refuses(DOCUMENT, {"data": RIGHT, "errors": [wrong]}, why)
        self.refuses(DOCUMENT, {"data": RIGHT, "errors": []}, "errors that are none")

    def test_every_scalar_of_the_schema_is_known(self):
        scalars = {name for name, kind in SCHEMA.type_map.items() if hasattr(kind, "parse_literal")}
        leaves = {name for name in scalars if not name.startswith("__") and not hasattr(SCHEMA.type_map[name], "values")}
        self.assertEqual(leaves, set(SCALARS))


if __name__ == "__main__":
    unittest.main()
