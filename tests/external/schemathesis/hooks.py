"""What an answer to a generated request must be: no defect of the server, and errors only where the caller is to blame."""

import schemathesis

# A generated value may be refused; a well-formed document of this schema may not fail in any other way.
EXPECTED = {"BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED", "QUERY_TOO_COMPLEX"}


@schemathesis.check
def answered_as_expected(ctx, response, case):
    assert response.status_code < 500, f"status {response.status_code}"
    answer = response.json()
    for error in answer.get("errors", []):
        extensions = error.get("extensions", {})
        assert extensions.get("code") in EXPECTED, error
        assert extensions.get("requestId"), error
