//! Cases under `tests/cli/`: commands with what they print. `TRYCMD=overwrite` accepts new output.

#[test]
fn commands_print_what_the_cases_say() {
    trycmd::TestCases::new().env("COLUMNS", "100").case("tests/cli/*.trycmd").case("README.md");
}
