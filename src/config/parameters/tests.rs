#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::*;

/// The layers as a test fills them.
#[derive(Default)]
struct Given {
    project: Values,
    playbook: Values,
    environment: Values,
    variables: Vec<(&'static str, &'static str)>,
    prompted: Vec<(String, String)>,
    set: Vec<(String, String)>,
}

impl Given {
    fn set(mut self, name: &str, text: &str) -> Self {
        self.set.push((name.into(), text.into()));
        self
    }

    fn resolve(&self, declared: &[Declared]) -> Result<Vec<Resolved>, Fault> {
        let env = |name: &str| {
            self.variables.iter().find(|(given, _)| *given == name).map(|(_, v)| v.to_string())
        };
        resolve(
            declared,
            &Layers {
                project: &self.project,
                playbook: &self.playbook,
                environment: &self.environment,
                env: &env,
                prompted: &self.prompted,
                set: &self.set,
            },
        )
    }

    fn one(&self, declared: Declared) -> Resolved {
        self.resolve(&[declared]).unwrap().remove(0)
    }
}

fn with_default(name: &str, default: Value) -> Declared {
    Declared { name: name.into(), default: Some(default), ..Declared::default() }
}

fn map(name: &str, value: Value) -> Values {
    Values::from([(name.to_string(), value)])
}

#[test]
fn each_layer_is_stronger_than_the_one_before_and_says_so() {
    let declared = || Declared { env: Some("TRIES".into()), ..with_default("tries", json!(1)) };
    let mut given = Given::default();
    let found = given.one(declared());
    assert_eq!((found.value, found.source), (json!(1), ParamSource::Default));
    given.project = map("tries", json!(2));
    let found = given.one(declared());
    assert_eq!((found.value, found.source), (json!(2), ParamSource::Project));
    given.playbook = map("tries", json!(3));
    let found = given.one(declared());
    assert_eq!((found.value, found.source), (json!(3), ParamSource::Playbook));
    given.environment = map("tries", json!(4));
    let found = given.one(declared());
    assert_eq!((found.value, found.source), (json!(4), ParamSource::Environment));
    given.variables = vec![("TRIES", "5")];
    let found = given.one(declared());
    assert_eq!((found.value, found.source), (json!(5), ParamSource::Variable("TRIES".into())));
    given.prompted = vec![("tries".into(), "6".into())];
    let found = given.one(declared());
    assert_eq!((found.value, found.source), (json!(6), ParamSource::Prompt));
    let found = given.set("tries", "7").set("tries", "8").one(declared());
    assert_eq!((found.value, found.source), (json!(8), ParamSource::Set));
}

#[test]
fn a_text_is_read_as_the_type_of_the_default() {
    for (default, text, wanted) in [
        (json!("x"), "5", json!("5")),
        (json!(1), " 10_000 ", json!(10_000)),
        (json!(0.5), "2", json!(2.0)),
        (json!(false), "Yes", json!(true)),
        (json!(true), "off", json!(false)),
        (json!(["a"]), r#"["b", 2]"#, json!(["b", 2])),
        (json!({}), r#"{"a": 1}"#, json!({"a": 1})),
        (json!(null), "free", json!("free")),
    ] {
        let found = Given::default().set("p", text).one(with_default("p", default));
        assert_eq!(found.value, wanted);
    }
    for (default, text) in [(json!(1), "many"), (json!(true), "maybe"), (json!(["a"]), "a,b")] {
        let fault = Given::default().set("p", text).resolve(&[with_default("p", default)]);
        let fault = fault.unwrap_err();
        assert_eq!(fault.more[0].code, "param-type");
        assert!(fault.detail.unwrap().contains(text));
    }
}

#[test]
fn a_value_of_the_file_must_have_the_type_too() {
    let given = Given { project: map("p", json!("30")), ..Given::default() };
    let fault = given.resolve(&[with_default("p", json!(30))]).unwrap_err();
    assert_eq!(fault.more[0].code, "param-type");
    let given = Given { project: map("p", json!(2)), ..Given::default() };
    assert_eq!(given.one(with_default("p", json!(0.5))).value, json!(2.0));
    // Without a default the file's value says what the type is.
    let given = Given { project: map("p", json!(2)), ..Given::default() }.set("p", "3");
    assert_eq!(given.one(Declared { name: "p".into(), ..Declared::default() }).value, json!(3));
}

#[test]
fn everything_that_is_missing_or_wrong_is_said_at_once() {
    let required = |name: &str, env: Option<&str>, secret| Declared {
        name: name.into(),
        required: true,
        secret,
        env: env.map(String::from),
        help: Some(format!("about {name}")),
        ..Declared::default()
    };
    let declared = [
        required("tenant", None, false),
        required("token", Some("SHOP_TOKEN"), true),
        Declared {
            choices: vec![json!("fast"), json!("careful")],
            ..with_default("way", json!("careful"))
        },
    ];
    let given = Given::default().set("tennant", "x").set("way", "carefull").set("token", "");
    let fault = given.resolve(&declared).unwrap_err();
    assert_eq!(fault.kind.exit_code(), 2);
    let codes: Vec<&str> = fault.more.iter().map(|one| one.code.as_str()).collect();
    assert_eq!(codes, ["param-unknown", "param-choice", "param-missing"]);
    assert!(fault.more[0].remedy.as_deref().unwrap().contains("tenant"));
    assert!(fault.more[1].remedy.as_deref().unwrap().contains("careful"));
    assert!(fault.more[2].message.contains("tenant, token"));
    let detail = fault.more[2].detail.as_deref().unwrap();
    assert!(detail.contains("--set tenant=..  # about tenant"));
    assert!(detail.contains("SHOP_TOKEN=..  # about token") && !detail.contains("--set token"));
}

#[test]
fn a_secret_is_not_shown_in_faults_or_debug_output() {
    let declared = Declared { secret: true, ..with_default("pin", json!(1)) };
    let fault = Given::default()
        .set("pin", "hunter2")
        .resolve(std::slice::from_ref(&declared))
        .unwrap_err();
    assert!(!format!("{fault:?}").contains("hunter2"));
    let found = Given::default().set("pin", "424242").one(declared);
    assert!(found.secret && !format!("{found:?}").contains("424242"));
}

#[test]
fn names_are_compared_in_nfc() {
    let decomposed: String = unicode_normalization::UnicodeNormalization::nfd("병원").collect();
    let found = Given::default().set(&decomposed, "5").one(with_default("병원", json!(1)));
    assert_eq!(found.value, json!(5));
    assert_eq!(
        parse_assignment(&format!("{decomposed}=a=b")).unwrap(),
        ("병원".into(), "a=b".into())
    );
    assert_eq!(parse_assignment("=x").unwrap_err().code, "set-syntax");
    assert_eq!(parse_assignment("novalue").unwrap_err().code, "set-syntax");
}

#[test]
fn a_name_for_one_playbook_that_it_does_not_declare_is_a_slip() {
    let given = Given {
        playbook: map("helth", json!("x")),
        project: map("other", json!(1)),
        environment: map("another", json!(1)),
        ..Given::default()
    };
    let fault = given.resolve(&[with_default("health", json!("y"))]).unwrap_err();
    assert_eq!(fault.more.len(), 1, "names for all playbooks may belong to another one");
    assert!(fault.remedy.unwrap().contains("health"));
}
