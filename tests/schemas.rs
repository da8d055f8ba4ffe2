//! The schemas that `ckx schema` prints, against what the commands write.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What a run of `ckx` wrote. Exit code 3 comes with a whole document too.
fn json(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_ckx")).args(arguments).output().expect("ckx runs");
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1 | 3)), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}

/// Shipped checkpoints and directories of images.
fn sources() -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["fixtures/checkpoints", "fixtures/images"] {
        for entry in Path::new(folder).read_dir().expect("fixtures are there") {
            let path = entry.expect("readable").path();
            found.push(path.to_str().expect("names of fixtures are text").to_owned());
        }
    }
    found.sort();
    assert!(found.len() >= 8, "{found:?}");
    found
}

fn check(schema: &Value, document: &Value, what: &str) {
    let validator = jsonschema::validator_for(schema).expect("the schema is one");
    let faults: Vec<String> = validator
        .iter_errors(document)
        .take(5)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{what}: {faults:#?}");
}

#[test]
fn reports_follow_the_schema_of_inspect() {
    let schema = json(&["schema", "inspect"]);
    for source in sources() {
        for reveal in [None, Some("--reveal")] {
            let arguments = ["inspect", "--all", "--json", &source].into_iter().chain(reveal);
            let document = json(&arguments.collect::<Vec<_>>());
            check(&schema, &document, &source);
            let sections = document["sections"].as_object().expect("sections by name");
            let described = schema["properties"]["sections"]["properties"].as_object().expect("by name");
            assert_eq!(sections.len(), described.len(), "{source}");
        }
    }
}

/// A schema that lets everything pass would pass the test above.
#[test]
fn the_schema_of_inspect_refuses_other_documents() {
    let schema = json(&["schema", "inspect"]);
    let good = json(&["inspect", "--all", "--json", "fixtures/checkpoints/nginx-crio-1.tar.zst"]);
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let mut changed = good.clone();
    changed["schema"] = "ckx.inspect/0".into();
    assert!(!validator.is_valid(&changed));
    changed = good.clone();
    changed["sections"]["images"]["kinds"][0]["size_bytes"] = "many".into();
    assert!(!validator.is_valid(&changed));
    changed = good;
    changed["sections"]["unheard-of"] = Value::Null;
    assert!(!validator.is_valid(&changed));
}

#[test]
fn listings_follow_the_schema_of_ls() {
    let schema = json(&["schema", "ls"]);
    for source in sources() {
        check(&schema, &json(&["ls", "--json", &source]), &source);
    }
}

/// Each fixture beside each, so that every comparison has something to tell; what could not be read too.
#[test]
fn comparisons_follow_the_schema_of_diff() {
    let schema = json(&["schema", "diff"]);
    let sources = sources();
    let mut differences = 0;
    for pair in sources.windows(2) {
        let [before, after] = pair else { continue };
        let document = json(&["diff", "--json", "--with-dump", "--bytes", "--show-unchanged", before, after]);
        check(&schema, &document, &format!("{before} {after}"));
        differences += usize::from(document["same"] == false);
        let same = json(&["diff", "--json", before, before]);
        check(&schema, &same, before);
        assert_eq!(same["same"], true, "{before}: {:#}", same["changes"]);
    }
    assert!(differences >= 4, "{differences}");
    let mut changed = json(&["diff", "--json", &sources[0], &sources[1]]);
    changed["changes"][0]["mark"] = "?".into();
    assert!(!jsonschema::validator_for(&schema).expect("the schema is one").is_valid(&changed));
}

#[test]
fn lists_follow_the_schema_of_list() {
    let schema = json(&["schema", "list"]);
    let document = json(&["list", "--json", "fixtures/checkpoints", "fixtures/images/s390x", "LICENSE"]);
    check(&schema, &document, "list");
    let found = document["checkpoints"].as_array().expect("a list");
    assert!(found.len() >= 6, "{found:?}");
    assert!(found.last().is_some_and(|entry| entry["error"].is_string() && entry.get("engine").is_none()));
}

#[test]
fn memory_follows_its_schemas() {
    for command in ["memory", "maps"] {
        let schema = json(&["schema", command]);
        for source in sources() {
            check(&schema, &json(&[command, "--json", &source]), &format!("{command} {source}"));
        }
        let mut changed = json(&[command, "--json", "fixtures/checkpoints/nginx-crio-1.tar.zst"]);
        changed["processes"][0]["pid"] = "one".into();
        assert!(!jsonschema::validator_for(&schema).expect("the schema is one").is_valid(&changed));
    }
}

#[test]
fn matches_follow_the_schema_of_grep() {
    let schema = json(&["schema", "grep"]);
    let arguments =
        ["grep", "--json", "--all", "-C", "8", "nginx", "fixtures/checkpoints/nginx-crio-1.tar.zst"];
    let output = Command::new(env!("CARGO_BIN_EXE_ckx")).args(arguments).output().expect("ckx runs");
    let lines: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a line of JSON"))
        .collect();
    assert!(lines.len() > 100, "{}", lines.len());
    for line in &lines {
        check(&schema, line, "grep");
    }
    let types: Vec<_> = ["begin", "match", "summary"].map(Value::from).into();
    assert!(types.iter().all(|name| lines.iter().any(|line| &line["type"] == name)));
    assert!(
        lines.iter().any(|line| line["member"].is_string())
            && lines.iter().any(|line| line["places"].is_array())
    );
}
