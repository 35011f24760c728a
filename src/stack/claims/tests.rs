use serde_json::json;

use super::*;

fn judge(path: &str, test: Test) -> Result<(), String> {
    let body =
        json!({"status": {"items": [{"x": 3, "text": "2.5", "name": "blue", "none": null}], "tags": ["a1", "b"]}});
    Where { path: path.parse().unwrap(), test }.judge(&body)
}

#[test]
fn fields_are_judged() {
    for (path, test) in [
        ("status.items[0].x", Test::Equals(json!(3.0))),
        ("status.items[0].x", Test::Above(2.0)),
        ("status.items[0].text", Test::Below(2.6)),
        ("status.items[name=blue].x", Test::Equals(json!(3))),
        ("status.items[0].name", Test::Contains("lu".into())),
        ("status.tags", Test::Contains("a".into())),
        ("status.items[0]", Test::Exists(true)),
        ("status.items[1]", Test::Exists(false)),
        ("status.items[0].none", Test::Exists(false)),
    ] {
        assert_eq!(judge(path, test.clone()), Ok(()), "{path} {test:?}");
    }
    for (path, test, seen) in [
        ("status.items[0].x", Test::Above(3.0), "status.items[0].x is 3"),
        ("status.items[0].name", Test::Above(3.0), "status.items[0].name is \"blue\""),
        ("status.items[0].x", Test::Equals(json!("3")), "status.items[0].x is 3"),
        ("status.items[7].x", Test::Below(3.0), "there is no status.items[7].x"),
        ("status.tags", Test::Contains("c".into()), "status.tags is [\"a1\",\"b\"]"),
        ("status.tags", Test::Exists(false), "status.tags is [\"a1\",\"b\"]"),
        ("status.nothing", Test::Exists(true), "status.nothing is absent"),
    ] {
        assert_eq!(judge(path, test).unwrap_err(), seen);
    }
}

#[test]
fn every_text_of_a_check_can_be_changed() {
    let logs = LogsCheck {
        request: Some(http(None)),
        since: Since::Pod,
        pods: vec![LogClaim {
            selector: "a=b".into(),
            container: None,
            matches: vec![Pattern("x $(id)".into())],
            every: false,
            any_order: false,
        }],
    };
    let part = Part { name: "p".into(), check: Check::Logs(logs), eventually: Duration::from_secs(1) };
    let disruption = Disruption::DeletePods { selector: "a=b".into(), force: true };
    let (meanwhile, after, load, keeps) = (vec![], vec![], None, None);
    let check = DuringCheck { disruption, before: vec![part], meanwhile, after, load, keeps };
    let changed = Check::During(Box::new(check)).with_texts(|text| text.replace("$(id)", "7")).unwrap();
    let Check::During(changed) = changed else { panic!() };
    let Check::Logs(logs) = &changed.before[0].check else { panic!() };
    assert_eq!(logs.pods[0].matches[0].0, "x 7");
    assert_eq!(logs.request, Some(http(None)));
}

fn http(json: Option<Value>) -> HttpCheck {
    HttpCheck {
        method: "GET".into(),
        url: "http://a/".into(),
        headers: BTreeMap::new(),
        body: None,
        status: 200,
        json,
        contains: None,
        wheres: vec![Where { path: "a[0].b".parse().unwrap(), test: Test::Exists(true) }],
        ca: true,
        timeout: Duration::from_millis(1500),
    }
}

#[test]
fn claims_survive_the_way_into_the_cluster() {
    let span = SpanClaim { service: None, operation: "o".into(), attributes: BTreeMap::new(), error: Some(true) };
    let access = Access { verb: "list".into(), resource: "pods".into() };
    let timeout = Duration::from_secs(1);
    for check in [
        Check::Http(http(None)),
        Check::Http(http(Some(Value::Null))),
        Check::Trace(TraceCheck { request: http(None), jaeger: "j".into(), spans: vec![span] }),
        Check::Rbac(RbacCheck { service_account: "s".into(), allowed: vec![access], denied: vec![], timeout }),
    ] {
        let text = serde_json::to_string(&check).unwrap();
        assert_eq!(serde_json::from_str::<Check>(&text).unwrap(), check, "{text}");
    }
}
