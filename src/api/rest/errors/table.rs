//! Maps problems of the domain to legacy return codes. Each part of an input has its own match without a catch-all, so
//! that the compiler requires a number for a new problem code.

use super::codes::{self, Code};
use clientele_core::problem::{Problem, ProblemCode, Section, Step};
use clientele_domain::upsert::NAMED;

pub fn code_of(problem: &Problem) -> Code {
    let member = problem.path.iter().rev().find_map(|step| match step {
        Step::Name(name) => Some(*name),
        Step::Index(_) => None,
    });
    let member = member.unwrap_or_default();
    match problem.code {
        ProblemCode::Forbidden => return codes::INVALID_PERMISSIONS,
        ProblemCode::IdempotencyKeyReused | ProblemCode::OutcomeErased => return codes::IDEMPOTENCY_KEY_USED,
        _ => {}
    }
    match problem.section() {
        Section::Client => of_client(problem.code, member),
        Section::Role => of_role(problem.code),
        Section::Assignments => of_assignments(problem.code),
        Section::IdDocuments => of_id_documents(problem.code, member),
        Section::Addresses => of_addresses(problem.code),
        Section::CustomInformation => of_custom_information(problem.code, member),
        Section::Other if problem.code == ProblemCode::NotFound && member == NAMED => codes::INVALID_CLIENT_ID,
        Section::Permission | Section::Other => codes::INVALID_PARAMETERS,
    }
}

fn of_client(code: ProblemCode, member: &str) -> Code {
    use ProblemCode::*;
    match code {
        NotFound if member == "encodedKey" => codes::INVALID_CLIENT_KEY,
        Mismatch => codes::INCONSISTENT_IDENTIFIER_WITH_JSON,
        NotEditable if member == "state" => codes::INVALID_CLIENT_STATE,
        NotEditable => codes::FIELD_IS_NOT_EDITABLE,
        Taken => codes::CLIENT_ID_ALREADY_IN_USE,
        NotAnEmailAddress => codes::EMAIL_ADDRESS_FORMAT_IS_INVALID,
        NotADate => codes::INVALID_BIRTH_DATE,
        Invalid if member == "birthDate" => codes::INVALID_BIRTH_DATE,
        Invalid if member == "clientId" => codes::INVALID_STRING_VALUE,
        NotAnOption if member == "preferredLanguage" => codes::INVALID_LANGUAGE,
        TooLong | InvalidCharacter => codes::INVALID_STRING_VALUE,
        Blank | Malformed | Invalid | TooMany | NullList | NotFound | NotOwned | Duplicate | NotANumber
        | NotACheckbox | NotAnOption | PatternMismatch | Deactivated | Required | GroupIndex | UnknownPlaceholder
        | Forbidden | IdempotencyKeyReused | OutcomeErased | VersionConflict => codes::INVALID_PARAMETERS,
    }
}

fn of_role(code: ProblemCode) -> Code {
    use ProblemCode::*;
    match code {
        Malformed | TooMany | NullList => codes::INVALID_PARAMETERS,
        Blank | Invalid | InvalidCharacter | TooLong | NotFound | NotOwned | Duplicate | Taken | NotEditable
        | Mismatch | NotAnEmailAddress | NotADate | NotANumber | NotACheckbox | NotAnOption | PatternMismatch
        | Deactivated | Required | GroupIndex | UnknownPlaceholder | Forbidden | IdempotencyKeyReused
        | OutcomeErased | VersionConflict => codes::INVALID_CLIENT_ROLE_KEY,
    }
}

fn of_assignments(code: ProblemCode) -> Code {
    use ProblemCode::*;
    match code {
        TooLong | InvalidCharacter => codes::INVALID_STRING_VALUE,
        Blank | Malformed | Invalid | TooMany | NullList | NotFound | NotOwned | Duplicate | Taken | NotEditable
        | Mismatch | NotAnEmailAddress | NotADate | NotANumber | NotACheckbox | NotAnOption | PatternMismatch
        | Deactivated | Required | GroupIndex | UnknownPlaceholder | Forbidden | IdempotencyKeyReused
        | OutcomeErased | VersionConflict => codes::INVALID_PARAMETERS,
    }
}

fn of_id_documents(code: ProblemCode, member: &str) -> Code {
    use ProblemCode::*;
    match code {
        Malformed | TooMany | NullList => codes::INVALID_PARAMETERS,
        NotFound if member == "templateKey" => codes::INVALID_ID_DOCUMENT_TEMPLATE_KEY,
        Blank | Invalid | InvalidCharacter | TooLong | NotFound | NotOwned | Duplicate | Taken | NotEditable
        | Mismatch | NotAnEmailAddress | NotADate | NotANumber | NotACheckbox | NotAnOption | PatternMismatch
        | Deactivated | Required | GroupIndex | UnknownPlaceholder | Forbidden | IdempotencyKeyReused
        | OutcomeErased | VersionConflict => codes::INVALID_ID_DOCUMENT,
    }
}

fn of_addresses(code: ProblemCode) -> Code {
    use ProblemCode::*;
    match code {
        Malformed | TooMany | NullList => codes::INVALID_PARAMETERS,
        Blank | Invalid | InvalidCharacter | TooLong | NotFound | NotOwned | Duplicate | Taken | NotEditable
        | Mismatch | NotAnEmailAddress | NotADate | NotANumber | NotACheckbox | NotAnOption | PatternMismatch
        | Deactivated | Required | GroupIndex | UnknownPlaceholder | Forbidden | IdempotencyKeyReused
        | OutcomeErased | VersionConflict => codes::INVALID_ADDRESS,
    }
}

fn of_custom_information(code: ProblemCode, member: &str) -> Code {
    use ProblemCode::*;
    match code {
        Blank if member == "fieldId" => codes::EMPTY_CUSTOM_FIELD_ID,
        NotFound if member == "fieldId" => codes::INVALID_CUSTOM_FIELD_ID,
        NotFound => codes::INVALID_CUSTOM_FIELD_LINKED_ENTITY_KEY,
        Blank | Invalid | NotANumber | NotADate | NotACheckbox | NotAnOption | NotAnEmailAddress => {
            codes::INCONSISTENT_VALUE_WITH_CUSTOM_FIELD_TYPE
        }
        TooLong => codes::MAX_CUSTOM_FIELD_VALUE_LENGTH_EXCEEDED,
        PatternMismatch => codes::INCONSISTENT_CUSTOM_FIELD_VALUE_WITH_PATTERN,
        Deactivated => codes::CUSTOM_FIELD_DEACTIVATED,
        GroupIndex => codes::INCONSISTENT_VALUE_WITH_SET_TYPE,
        Duplicate => codes::DUPLICATE_CUSTOM_FIELD_VALUES,
        Required => codes::REQUIRED_CUSTOM_FIELD_MISSING,
        InvalidCharacter => codes::INVALID_STRING_VALUE,
        Malformed | TooMany | NullList | NotOwned | Taken | NotEditable | Mismatch | UnknownPlaceholder | Forbidden
        | IdempotencyKeyReused | OutcomeErased | VersionConflict => codes::INVALID_PARAMETERS,
    }
}

#[cfg(test)]
mod tests {
    use super::code_of;
    use clientele_core::{
        path,
        problem::{Problem, ProblemCode::*},
    };

    #[test]
    fn each_problem_has_the_number_of_the_contract() {
        let cases = [
            (Forbidden, path![].to_vec(), 403, 15),
            (Forbidden, path!["customInformation", 0, "fieldId"].to_vec(), 403, 15),
            (IdempotencyKeyReused, path!["idempotencyKey"].to_vec(), 422, 4),
            (OutcomeErased, path!["idempotencyKey"].to_vec(), 422, 4),
            (NotFound, path!["id"].to_vec(), 404, 301),
            (NotFound, path!["client", "encodedKey"].to_vec(), 404, 302),
            (Mismatch, path!["client", "encodedKey"].to_vec(), 400, 25),
            (Blank, path!["client", "firstName"].to_vec(), 400, 4),
            (TooLong, path!["client", "notes"].to_vec(), 400, 3742),
            (InvalidCharacter, path!["client", "lastName"].to_vec(), 400, 3742),
            (NotEditable, path!["client", "clientId"].to_vec(), 400, 1906),
            (NotEditable, path!["client", "state"].to_vec(), 400, 305),
            (Taken, path!["client", "clientId"].to_vec(), 400, 316),
            (NotAnEmailAddress, path!["client", "emailAddress"].to_vec(), 400, 711),
            (NotADate, path!["client", "birthDate"].to_vec(), 400, 309),
            (Malformed, path!["client", "birthDate"].to_vec(), 400, 4),
            (NotAnOption, path!["client", "gender"].to_vec(), 400, 4),
            (NotAnOption, path!["client", "preferredLanguage"].to_vec(), 400, 2427),
            (NotFound, path!["client", "clientRole", "encodedKey"].to_vec(), 400, 306),
            (Malformed, path!["client", "clientRole"].to_vec(), 400, 4),
            (Malformed, path!["client", "assignedUserKey"].to_vec(), 400, 4),
            (TooMany, path!["idDocuments"].to_vec(), 400, 4),
            (Blank, path!["idDocuments", 0, "documentId"].to_vec(), 400, 950),
            (NotOwned, path!["idDocuments", 0, "encodedKey"].to_vec(), 400, 950),
            (NotADate, path!["idDocuments", 0, "validUntil"].to_vec(), 400, 950),
            (NotFound, path!["idDocuments", 0, "templateKey"].to_vec(), 400, 953),
            (Malformed, path!["addresses", 0].to_vec(), 400, 4),
            (NotOwned, path!["addresses", 0, "encodedKey"].to_vec(), 400, 1150),
            (NotANumber, path!["addresses", 0, "latitude"].to_vec(), 400, 1150),
            (NotFound, path!["customInformation", 0, "fieldId"].to_vec(), 400, 903),
            (Blank, path!["customInformation", 0, "fieldId"].to_vec(), 400, 3600),
            (Blank, path!["customInformation", 0, "value"].to_vec(), 400, 901),
            (NotADate, path!["customInformation", 0, "value"].to_vec(), 400, 901),
            (TooLong, path!["customInformation", 0, "value"].to_vec(), 400, 904),
            (
                PatternMismatch,
                path!["customInformation", 0, "value"].to_vec(),
                400,
                917,
            ),
            (Deactivated, path!["customInformation", 0, "value"].to_vec(), 400, 908),
            (NotFound, path!["customInformation", 0, "linkedKey"].to_vec(), 400, 911),
            (
                GroupIndex,
                path!["customInformation", 0, "groupIndex"].to_vec(),
                400,
                913,
            ),
            (Duplicate, path!["customInformation", 0, "fieldId"].to_vec(), 400, 918),
            (Required, path!["customInformation"].to_vec(), 400, 902),
            (
                InvalidCharacter,
                path!["customInformation", 0, "value"].to_vec(),
                400,
                3742,
            ),
        ];
        for (code, path, status, number) in cases {
            let problem = Problem::new(code, path, "");
            let found = code_of(&problem);
            assert_eq!((found.status.as_u16(), found.number), (status, number), "{problem:?}");
        }
    }
}
