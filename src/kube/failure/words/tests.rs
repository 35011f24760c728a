use super::*;

fn lines(message: &str) -> Vec<String> {
    problems(message).iter().map(Problem::line).collect()
}

#[test]
fn types_are_told_in_the_words_of_the_file() {
    let typed =
        |errors: &str| lines(&format!("failed to create typed patch object (n/x; apps/v1, Kind=Deployment): {errors}"));
    assert_eq!(
        typed(".spec.replicas: expected numeric (int or float), got string"),
        ["spec.replicas: must be a number, but is a string"]
    );
    assert_eq!(
        typed(
            "errors:\n  .metadata.labels.a: expected string, got &value.valueUnstructured{Value:8080}\n  .spec.paused: expected boolean, got &{yes}\n"
        ),
        [
            "metadata.labels.a: must be a string, but is 8080: put it in quotes",
            "spec.paused: must be true or false, but is yes"
        ]
    );
    assert_eq!(typed(".spec.template: expected map, got &{[a b]}"), ["spec.template: must be a map, but is a list"]);
    assert_eq!(
        lines(
            "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
        ),
        ["spec.replicas: must be a whole number, but is a string"]
    );
    assert_eq!(
        lines("json: cannot unmarshal number into Go struct field ObjectMeta.metadata.annotations of type string"),
        ["metadata.annotations: must be a string, but is a number: put it in quotes"]
    );
    assert_eq!(
        lines("json: cannot unmarshal object into Go value of type []v1.Container"),
        ["must be a list, but is a map"]
    );
}

#[test]
fn dumps_of_values_are_left_out_and_scalars_stay() {
    assert_eq!(plain("Invalid value: {\"matchLabels\":{\"app\":\"x}\"}}: field is immutable"), "field is immutable");
    assert_eq!(
        plain("Invalid value: v1.LabelSelector{MatchLabels:map[string]string{\"app\":\"x\"}}: field is immutable"),
        "field is immutable"
    );
    assert_eq!(plain("Invalid value: []string{\"None\"}: may not change once set"), "may not change once set");
    assert_eq!(plain("Invalid value: [\"None\"]: may not change once set"), "may not change once set");
    assert_eq!(
        plain("Invalid value: -1: must be greater than or equal to 0"),
        "Invalid value: -1: must be greater than or equal to 0"
    );
    assert_eq!(plain("Invalid value: \"a{b\": must be lower case"), "Invalid value: \"a{b\": must be lower case");
    assert_eq!(
        plain(
            "Forbidden: pod updates may not change fields other than `spec.tolerations`\n\u{a0}\u{a0}core.PodSpec{\n"
        ),
        "Forbidden: pod updates may not change fields other than `spec.tolerations`"
    );
}

#[test]
fn formats_are_shown_by_example() {
    assert!(
        plain("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
            .contains("2Gi")
    );
    assert_eq!(plain("illegal base64 data at input byte 4"), "it is not base64");
    assert_eq!(plain("strconv.ParseInt: parsing \"x\": invalid syntax"), "\"x\" is no number that fits");
    assert_eq!(
        plain("parsing time \"soon\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"soon\" as \"2006\""),
        "\"soon\" is no time such as 2026-11-20T10:00:00Z"
    );
}

#[test]
fn a_value_that_cannot_be_read_is_told_without_the_versions_between_which_it_is_carried() {
    let message = "failed to convert new object (n/b64; /v1, Kind=Secret) to proper version: unable to convert unstructured object to /v1, Kind=Secret: error decoding from json: illegal base64 data at input byte 3";
    assert_eq!(lines(message), ["it is not base64"]);
    assert!(is_about_content(message) && !is_about_content("etcdserver: no leader"));
}

#[test]
fn a_list_is_split_where_a_new_part_begins() {
    assert_eq!(split("a (x, \"y, z\"), b"), ["a (x, \"y, z\")", "b"]);
    assert_eq!(
        split(
            "maximum cpu usage per Container is 1, but limit is 4, minimum memory usage per Pod is 1Mi, but request is 1"
        ),
        [
            "maximum cpu usage per Container is 1, but limit is 4",
            "minimum memory usage per Pod is 1Mi, but request is 1"
        ]
    );
}
